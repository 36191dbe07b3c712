import type { Field, Kind, Part, Value } from './types';

const numbers = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const percents = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 2 });

export function duration(seconds: number): string {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor((seconds % 86400) / 3600), Math.floor((seconds % 3600) / 60)];
  if (days) return hours ? `${days} d ${hours} h` : `${days} d`;
  if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  const rest = Math.round(seconds % 60);
  if (minutes) return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
  return `${numbers.format(seconds)} s`;
}

export function figure(value: number | null, format: Part['format'], compact = false): string {
  if (value === null || Number.isNaN(value)) return '–';
  if (format === 'percent') return percents.format(value);
  if (format === 'duration') return duration(value);
  return (compact ? short : numbers).format(value);
}

export function time(text: string | null, zone: string, kind: Kind = 'timestamp', seconds = true): string {
  if (!text) return '–';
  if (kind === 'date') {
    return new Date(`${text}T00:00:00Z`).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });
  }
  const date = new Date(text);
  const timeZone = zone === 'UTC' ? 'UTC' : undefined;
  const clock = seconds ? ({ second: '2-digit' } as const) : {};
  return date.toLocaleString('en-GB', { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', ...clock, timeZone });
}

export function day(text: string, zone: string): string {
  return new Date(text).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: zone === 'UTC' ? 'UTC' : undefined });
}

export function cell(value: Value | undefined, field: Field | undefined, zone: string): string {
  if (value === null || value === undefined) return '–';
  switch (field?.kind) {
    case 'date':
    case 'timestamp':
      return time(String(value), zone, field.kind);
    case 'integer':
    case 'number':
    case 'decimal':
      return isNumber(field) ? numbers.format(Number(value)) : String(value);
    case 'boolean':
      return value ? 'yes' : 'no';
    default:
      return String(value);
  }
}

// What counts or measures. A number that names something is written as it is: `id`, `id_student`, `order_id`, `year`.
export function isNumber(field: Field | undefined): boolean {
  return field !== undefined && ['integer', 'number', 'decimal'].includes(field.kind) && !/(^|_)(id|year)(_|$)/.test(field.name);
}

export function words(name: string): string {
  const text = name.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// "30 days", "12 hours": a length of time as it is said and as it stands in the address.
export function span(seconds: number): string {
  const [count, unit] = seconds % 86400 === 0 ? [seconds / 86400, 'day'] : seconds % 3600 === 0 ? [seconds / 3600, 'hour'] : [seconds, 'second'];
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

// Names of tables and commands keep their small letter.
export function sentence(text: string): string {
  return /[._]/.test(text.split(' ')[0] ?? '') ? text : text.charAt(0).toUpperCase() + text.slice(1);
}

export function counted(count: number, unit: string): string {
  return `${numbers.format(count)} ${unit}${count === 1 ? '' : 's'}`;
}

export function size(bytes: number | null): string {
  if (bytes === null) return '–';
  if (bytes < 1024) return counted(bytes, 'byte');
  const power = Math.min(4, Math.floor(Math.log(bytes) / Math.log(1024)));
  return `${(bytes / 1024 ** power).toLocaleString('en', { maximumSignificantDigits: 3 })} ${['', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`;
}

export function ago(text: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(text)) / 1000));
  if (seconds < 5) return 'just now';
  const [length, unit] = ([[86400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']] as const).find(([length]) => seconds >= length) ?? [1, 'second'];
  return `${counted(Math.floor(seconds / length), unit)} ago`;
}
