// ECharts with no more than is drawn here, as SVG.

import { BarChart, LineChart } from 'echarts/charts';
import { AriaComponent, GridComponent, LegendComponent, TooltipComponent } from 'echarts/components';
import { format, init, use, type EChartsCoreOption } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { figure, time } from './format';
import type { Series } from './shape';
import type { Kind, Part } from './types';

use([BarChart, LineChart, AriaComponent, GridComponent, LegendComponent, TooltipComponent, SVGRenderer]);
export { init };
const { encodeHTML } = format;

// Told apart with every kind of colour vision (after Okabe and Ito), and against the background of each theme.
const SERIES = {
  light: ['#0b6e75', '#b24a00', '#3d5fb3', '#8a4f7d', '#6b6a00', '#5a5a5a'],
  dark: ['#4fc3c9', '#ffa45c', '#8fb0ff', '#e39bd0', '#d6d155', '#b5b5b5'],
};

// What keys or the mouse have come to.
const picked = (isDark: boolean) => ({ itemStyle: { borderColor: isDark ? '#e9eff0' : '#172024', borderWidth: 2 } });

export type Drawn = { part: Part; kind: Kind; zone: string; isDark: boolean };

function base({ isDark }: { isDark: boolean }): EChartsCoreOption {
  const ink = isDark ? '#b6c2c6' : '#48565b';
  const rule = isDark ? '#2c383c' : '#e3e8e9';
  return {
    color: SERIES[isDark ? 'dark' : 'light'],
    animation: false,
    // By name: drawn with several styles, a text that inherits its family gets another size.
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: ink, fontSize: 12 },
    grid: { left: 4, right: 12, top: 12, bottom: 4, containLabel: true },
    tooltip: {
      trigger: 'axis',
      confine: true,
      backgroundColor: isDark ? '#1d272a' : '#ffffff',
      borderColor: rule,
      textStyle: { color: isDark ? '#eef3f4' : '#172024', fontSize: 12 },
    },
    axisLabel: { color: ink },
    splitLine: { lineStyle: { color: rule } },
  };
}

function axes(drawn: Drawn) {
  const { axisLabel, splitLine, ...option } = base(drawn) as Record<string, never>;
  const value = {
    type: 'value',
    axisLabel: { ...(axisLabel as unknown as object), formatter: (value: number) => figure(value, drawn.part.format, true) },
    splitLine,
  };
  const category = { type: 'category', axisLabel, axisTick: { show: false }, axisLine: { lineStyle: { color: drawn.isDark ? '#48565b' : '#b6c2c6' } } };
  return { option: option as EChartsCoreOption, value, category };
}

function said(drawn: Drawn) {
  return (value: unknown) => figure(typeof value === 'number' ? value : null, drawn.part.format);
}

// A tick of a time axis, by what it is the beginning of: a year, a month, a day, or none of these.
function tick(value: number, isUtc: boolean): string {
  const at = new Date(isUtc ? value : value - new Date(value).getTimezoneOffset() * 60_000);
  const say = (options: Intl.DateTimeFormatOptions) => at.toLocaleString('en-GB', { ...options, timeZone: 'UTC' });
  if (at.getUTCHours() + at.getUTCMinutes() + at.getUTCSeconds() > 0) return say({ hour: '2-digit', minute: '2-digit', ...(at.getUTCSeconds() ? { second: '2-digit' } : {}) });
  if (at.getUTCDate() > 1) return say({ day: 'numeric', month: 'short' });
  return at.getUTCMonth() > 0 ? say({ month: 'short' }) : say({ year: 'numeric' });
}

// Up to so many points of a line are marked, so that one alone is seen, and where nothing lies between.
const MARKED = 60;

type Hovered = { value: [number | string, number]; seriesName: string; marker: string };

export function lines(series: Series[], drawn: Drawn): EChartsCoreOption {
  const { option, value, category } = axes(drawn);
  const isTime = drawn.kind === 'date' || drawn.kind === 'timestamp';
  const isUtc = drawn.kind === 'date' || drawn.zone === 'UTC';
  const at = (x: string): number | string => (isTime ? Date.parse(x) : x);
  const label = (x: number | string) => (isTime ? time(drawn.kind === 'date' ? new Date(x).toISOString().slice(0, 10) : new Date(x).toISOString(), drawn.zone, drawn.kind, false) : String(x));
  const say = said(drawn);
  const ink = (category.axisLabel as unknown as { color: string }).color;
  return {
    ...option,
    useUTC: isUtc,
    ...(series.length > 1 ? { legend: { type: 'plain', top: 0, left: 0, icon: 'roundRect', itemHeight: 3, itemGap: 18, textStyle: { color: ink } } } : {}),
    grid: { left: 4, right: 16, top: series.length > 1 ? 34 : 12, bottom: 4, containLabel: true },
    tooltip: {
      ...(option.tooltip as object),
      formatter: (all: Hovered[]) => `${label(all[0]?.value[0] ?? '')}${all.map((one) => `<br>${one.marker}${series.length > 1 ? `${encodeHTML(one.seriesName)} ` : ''}<b>${say(one.value[1])}</b>`).join('')}`,
    },
    xAxis: {
      ...category,
      ...(isTime ? { type: 'time', splitLine: { show: false } } : { boundaryGap: false, data: [...new Set(series.flatMap((one) => one.points.map(([x]) => x)))].sort() }),
      axisLabel: { ...(category.axisLabel as unknown as object), hideOverlap: true, ...(isTime ? { formatter: (value: number) => tick(value, isUtc) } : {}) },
    },
    yAxis: value,
    series: series.map(({ name, points }) => ({ type: 'line', name, data: points.map(([x, y]) => [at(x), y]), showSymbol: points.length <= MARKED, symbol: 'circle', symbolSize: 5, lineStyle: { width: 2 } })),
  };
}

export function bars(points: [string, number][], drawn: Drawn, isOrdered: boolean): EChartsCoreOption {
  const { option, value, category } = axes(drawn);
  const names = points.map(([x]) => x);
  const series = [{ type: 'bar', name: drawn.part.title, data: points.map(([, y]) => y), barMaxWidth: 22, itemStyle: { borderRadius: 2 }, emphasis: picked(drawn.isDark), cursor: drawn.part.link ? 'pointer' : 'default' }];
  const tooltip = { ...(option.tooltip as object), axisPointer: { type: 'shadow' }, valueFormatter: said(drawn) };
  const labelled = { ...category, data: names };
  if (isOrdered) return { ...option, tooltip, xAxis: { ...labelled, name: undefined }, yAxis: value, series };
  return { ...option, tooltip, yAxis: { ...labelled, inverse: true }, xAxis: value, series };
}

export type RunBar = { name: string; state: string; seconds: number };

// A bar a run, oldest first. The states are told apart by pattern as well as by colour.
const STATES = [
  { state: 'Done', light: '#0b6e75', dark: '#4fc3c9' },
  { state: 'Failed', light: '#a3241c', dark: '#ffb1aa', decal: { rotation: Math.PI / 4, dashArrayX: [1, 0], dashArrayY: [2, 4] } },
  { state: 'Stopped', light: '#8a6200', dark: '#ffd58a', decal: { symbol: 'rect', dashArrayX: [1, 0], dashArrayY: [2, 4] } },
  { state: 'Cut off', light: '#8a4f7d', dark: '#e39bd0', decal: { rotation: -Math.PI / 4, dashArrayX: [1, 0], dashArrayY: [2, 4] } },
  { state: 'Running', light: '#3d5fb3', dark: '#8fb0ff', decal: { symbol: 'circle', dashArrayX: [[6, 6], [0, 6, 6, 0]], dashArrayY: [5, 0], symbolSize: 0.8 } },
];

// Seconds that make round lengths of time.
const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

export function runBars(runs: RunBar[], isDark: boolean): EChartsCoreOption {
  const { axisLabel: label, splitLine, ...option } = base({ isDark }) as Record<'axisLabel' | 'splitLine' | 'tooltip', object>;
  const seen = STATES.filter(({ state }) => runs.some((run) => run.state === state));
  const stripes = isDark ? 'rgba(0,0,0,.45)' : 'rgba(255,255,255,.6)';
  const ink = isDark ? '#b6c2c6' : '#48565b';
  const longest = Math.max(1, ...runs.map((run) => run.seconds));
  const interval = STEPS.find((step) => longest / step <= 5) ?? 86400 * Math.ceil(longest / 432_000);
  return {
    ...option,
    color: seen.map((one) => one[isDark ? 'dark' : 'light']),
    legend: { type: 'plain', top: 0, left: 0, itemHeight: 10, itemWidth: 16, itemGap: 24, selectedMode: false, textStyle: { color: ink } },
    grid: { left: 4, right: 12, top: 34, bottom: 4, containLabel: true },
    tooltip: { ...option.tooltip, trigger: 'item', formatter: (one: { name: string; seriesName: string; value: number }) => `${one.name}<br>${one.seriesName}, ${figure(one.value, 'duration')}` },
    xAxis: { type: 'category', data: runs.map(({ name }) => name), axisLabel: { ...label, hideOverlap: true }, axisTick: { show: false }, axisLine: { lineStyle: { color: isDark ? '#48565b' : '#b6c2c6' } } },
    yAxis: { type: 'value', axisLabel: { ...label, formatter: (value: number) => figure(value, 'duration') }, splitLine, interval, max: Math.ceil(longest / interval) * interval },
    series: seen.map(({ state, decal }) => ({
      type: 'bar',
      name: state,
      stack: 'runs',
      data: runs.map((run) => (run.state === state ? run.seconds : null)),
      barMaxWidth: 22,
      barMinHeight: 2,
      cursor: 'pointer',
      emphasis: picked(isDark),
      itemStyle: { borderRadius: 2, ...(decal ? { decal: { ...decal, color: stripes } } : {}) },
    })),
  };
}
