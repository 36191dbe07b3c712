export type Kind = 'integer' | 'number' | 'decimal' | 'date' | 'timestamp' | 'boolean' | 'uuid' | 'text' | 'bytes';
export type Field = { name: string; kind: Kind };
export type Value = string | number | boolean | null;
export type Row = Record<string, Value>;
export type Endpoint = {
  name: string;
  description: string | null;
  path: string;
  parameters: string[];
  has_items: boolean;
  fields: Field[];
  max_page_size: number;
};
export type Picker = { name: string; label: string } & (
  | { kind: 'text'; default: string | null }
  | { kind: 'choice'; choices: string[]; default: string }
  | { kind: 'range'; default_seconds: number }
);
export type Part = {
  kind: 'tile' | 'lines' | 'bars' | 'distribution' | 'table';
  title: string;
  description: string | null;
  endpoint: Endpoint;
  with: Record<string, { constant: string } | { picker: string }>;
  range: { last_seconds: number } | { picker: string } | null;
  x: string | null;
  y: string | null;
  of: string | null;
  group: string | null;
  aggregate: 'sum' | 'count';
  format: 'number' | 'percent' | 'duration';
  fields: string[];
  limit: number | null;
  width: 'third' | 'half' | 'full';
  link: { page: string; with: Record<string, { constant: string } | { field: string }> } | null;
};
export type Page = { name: string; title: string; description: string | null; parameters: Picker[]; parts: Part[] };
export type Pages = { pipeline: string; version: string; clock: string; pages: Page[]; operations?: boolean };
export type AsOf = { version: number; event_time: string | null; written_at: string | null };
export type Problem = { title: string; status: number; code: string; detail?: string; errors?: { parameter: string; detail: string }[] };
