// The zones of a pipeline as columns of cards, and the ways of the edges between them.

import type { LandingState, Overview, Reading, ServedTable, TableState } from './operations';

export type Card = { key: string; name: string; reads: Reading[]; landing?: LandingState; table?: TableState; served?: ServedTable };
export type Zone = { name: 'landing' | 'raw' | 'use_case' | 'cassandra'; title: string; columns: Card[][] };

export function cardsOf(overview: Overview): Card[] {
  return [
    ...overview.landings.map((landing) => ({ key: `landing.${landing.source}`, name: landing.source, reads: [], landing })),
    ...overview.raw.map((table) => ({ key: `raw.${table.name}`, name: table.name, reads: table.reads, table })),
    ...overview.use_cases.map((table) => ({ key: `use_case.${table.name}`, name: table.name, reads: table.reads, table })),
    ...overview.serving.tables.map((served) => ({ key: `cassandra.${served.name}`, name: served.name, reads: [served.reads], served })),
  ];
}

// A table names the landing that it reads; the card is of the source, whose files may have several landings.
export function sourceOf(reading: Reading, cards: Card[]): Card | undefined {
  return cards.find((card) => (card.landing ? card.landing.landings.some((name) => reading.from === `landing.${name}`) : card.key === reading.from));
}

// Use cases that read use cases stand to the right of them.
function depths(cards: Card[]): Map<string, number> {
  const known = new Map<string, number>();
  const depth = (card: Card, above: string[]): number => {
    const found = known.get(card.key);
    if (found !== undefined) return found;
    const inner = card.reads.flatMap((reading) => cards.filter((other) => other.key === reading.from && !above.includes(other.key)));
    const result = Math.max(-1, ...inner.map((other) => depth(other, [...above, card.key]))) + 1;
    known.set(card.key, result);
    return result;
  };
  for (const card of cards) depth(card, []);
  return known;
}

export function zonesOf(overview: Overview): Zone[] {
  const cards = cardsOf(overview);
  const of = (zone: string) => cards.filter((card) => card.key.startsWith(`${zone}.`));
  const useCases = of('use_case');
  const depth = depths(useCases);
  const deepest = Math.max(0, ...depth.values());
  const zones: Zone[] = [
    { name: 'landing', title: 'Landing', columns: [of('landing')] },
    { name: 'raw', title: 'Raw', columns: [of('raw')] },
    { name: 'use_case', title: 'Use case', columns: Array.from({ length: deepest + 1 }, (_, column) => useCases.filter((card) => depth.get(card.key) === column)) },
    { name: 'cassandra', title: 'Cassandra', columns: [of('cassandra')] },
  ];
  // Each beside what it reads, so that few edges cross.
  const row = new Map<string, number>();
  for (const zone of zones) {
    for (const column of zone.columns) {
      const mean = (card: Card) => card.reads.reduce((total, reading) => total + (row.get(reading.from) ?? 0), 0) / Math.max(1, card.reads.length);
      if (zone.name !== 'landing' && zone.name !== 'raw') column.sort((a, b) => mean(a) - mean(b));
      column.forEach((card, index) => row.set(card.key, index));
    }
  }
  return zones;
}

export type Box = { left: number; right: number; top: number; bottom: number };
export type Edge = { key: string; path: string; state: string };

const curve = (x1: number, y1: number, x2: number, y2: number) => `C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`;

// Past the boxes in between on the free height that is nearest; `taken` are the heights that others pass on.
export function way(from: [number, number], to: [number, number], boxes: Box[], taken: number[]): string {
  const [x1, y1] = from;
  const [x2, y2] = to;
  const between = boxes.filter((box) => box.left > x1 + 4 && box.right < x2 - 4);
  if (!between.length) return `M${x1} ${y1}${curve(x1, y1, x2, y2)}`;
  const isFree = (y: number) => between.every((box) => y < box.top - 5 || y > box.bottom + 5) && taken.every((other) => Math.abs(other - y) > 4);
  const steps = Array.from({ length: 9 }, (_, step) => 6 + step * 5);
  const heights = [y1, y2, ...between.flatMap((box) => steps.flatMap((step) => [box.top - step, box.bottom + step]))].filter((y) => isFree(y) && y > 0);
  const cost = (y: number) => Math.abs(y - y1) + Math.abs(y - y2);
  const lane = heights.sort((a, b) => cost(a) - cost(b))[0] ?? y2;
  taken.push(lane);
  const first = Math.min(...between.map((box) => box.left)) - 8;
  const last = Math.max(...between.map((box) => box.right)) + 8;
  return `M${x1} ${y1}${curve(x1, y1, first, lane)}H${last}${curve(last, lane, x2, y2)}`;
}
