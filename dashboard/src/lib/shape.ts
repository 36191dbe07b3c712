// From rows to what is drawn: figures summed by x and group.

import type { Part, Row } from './types';

export type Series = { name: string; points: [string, number][] };

function value(part: Part, sums: { y: number; of: number }): number {
  return part.of ? (sums.of === 0 ? NaN : sums.y / sums.of) : sums.y;
}

function added(sums: { y: number; of: number }, part: Part, row: Row) {
  sums.y += part.aggregate === 'count' ? 1 : Number(row[part.y ?? ''] ?? 0);
  if (part.of) sums.of += Number(row[part.of] ?? 0);
}

export function single(part: Part, rows: Row[]): number | null {
  if (rows.length === 0) return part.aggregate === 'count' ? 0 : null;
  const sums = { y: 0, of: 0 };
  for (const row of rows) added(sums, part, row);
  return value(part, sums);
}

export function byX(part: Part, rows: Row[]): [string, number][] {
  const all = new Map<string, { y: number; of: number }>();
  for (const row of rows) {
    const x = String(row[part.x ?? ''] ?? '–');
    let sums = all.get(x);
    if (!sums) all.set(x, (sums = { y: 0, of: 0 }));
    added(sums, part, row);
  }
  return [...all].map(([x, sums]) => [x, value(part, sums)]);
}

const inOrder = (a: [string, number], b: [string, number]) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);

export function series(part: Part, rows: Row[]): Series[] {
  const { group } = part;
  if (!group) return [{ name: part.title, points: byX(part, rows).sort(inOrder) }];
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const name = String(row[group] ?? '–');
    const found = groups.get(name);
    if (found) found.push(row);
    else groups.set(name, [row]);
  }
  const total = (rows: Row[]) => single({ ...part, of: null }, rows) ?? 0;
  const largest = [...groups].sort((a, b) => total(b[1]) - total(a[1])).slice(0, part.limit ?? 6);
  return largest.map(([name, rows]) => ({ name, points: byX(part, rows).sort(inOrder) }));
}

export function bars(part: Part, rows: Row[]): [string, number][] {
  return byX(part, rows).sort((a, b) => b[1] - a[1]).slice(0, part.limit ?? 20);
}

export function distribution(part: Part, rows: Row[]): [string, number][] {
  const isNumeric = part.endpoint.fields.some((field) => field.name === part.x && ['integer', 'number', 'decimal'].includes(field.kind));
  return byX(part, rows).sort(isNumeric ? (a, b) => Number(a[0]) - Number(b[0]) : inOrder);
}

export function csv(header: string[], rows: (string | number | boolean | null | undefined)[][]): string {
  const quoted = (value: unknown) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...rows].map((row) => row.map(quoted).join(',')).join('\r\n') + '\r\n';
}

export function save(name: string, text: string) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
  link.download = `${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}
