// Asks the API. The same question is asked once for all parts of a page, and again only whether its answer changed.

import { logOut, session } from './state.svelte';
import type { AsOf, Endpoint, Picker, Part, Problem, Row } from './types';

export const POLL = 15_000;
const MOST_ROWS = 50_000;

export class Failed extends Error {
  constructor(
    message: string,
    readonly advice: string,
    readonly status = 0,
  ) {
    super(message);
  }
}

export type Answer = { rows: Row[]; isCut: boolean; asOf: AsOf | null; now: string | null };

function adviceOn(path: string, status: number): string {
  const isPipeline = path.startsWith('/v1/_pipeline/');
  if (status === 429 || status >= 500) return 'It is asked again by itself; /readyz says what the server lacks.';
  if (status === 403) return isPipeline ? 'Ask for a key that may see the pipeline.' : 'Ask for a key whose scope names this endpoint.';
  return isPipeline ? '' : 'Change what is picked above.';
}

async function ask(path: string, etag?: string): Promise<Response> {
  const headers: Record<string, string> = { authorization: `Bearer ${session.key}`, accept: 'application/json' };
  if (etag) headers['if-none-match'] = etag;
  let response: Response;
  try {
    response = await fetch(path, { headers, cache: 'no-store' });
  } catch {
    throw new Failed('The server cannot be reached', 'It is asked again by itself. If this stays, look whether sluice serve runs.');
  }
  if (response.ok || response.status === 304) return response;
  const problem = (await response.json().catch(() => null)) as Problem | null;
  if (response.status === 401) logOut(true);
  const details = problem?.errors?.map((error) => `${error.parameter} ${error.detail}`).join('; ') ?? problem?.detail;
  throw new Failed(`${problem?.title ?? `The server answered ${response.status}`}${details ? `: ${details}` : ''}`, adviceOn(path, response.status), response.status);
}

export async function json<T>(path: string, etag?: string): Promise<{ body: T; etag: string } | null> {
  const response = await ask(path, etag);
  if (response.status === 304) return null;
  return { body: (await response.json()) as T, etag: response.headers.get('etag') ?? '' };
}

// The range of an endpoint, from "30 days" or "2016-11-01..2016-11-08".
function ranged(query: URLSearchParams, text: string, endpoint: Endpoint) {
  const [from, to] = text.split('..');
  if (to !== undefined) {
    if (from) query.set('from', from);
    if (to) query.set('to', to);
    return;
  }
  const [count = '', unit = ''] = text.trim().split(/\s+/);
  if (unit.startsWith('day') || !endpoint.parameters.includes('hours')) query.set('days', unit.startsWith('day') ? count : '1');
  else if (unit.startsWith('hour')) query.set('hours', count);
  else query.set('hours', String(Math.max(1, Math.round(Number(count) / 3600))));
}

// The address that answers a part; null while something that it needs was not picked.
export function question(part: Part, picked: Record<string, string>, spanOf: (seconds: number) => string): string | null {
  const { endpoint } = part;
  const query = new URLSearchParams();
  let path = endpoint.path;
  for (const [name, given] of Object.entries(part.with)) {
    const value = 'picker' in given ? picked[given.picker] : given.constant;
    if (!value) {
      if (path.includes(`{${name}}`)) return null;
      continue;
    }
    if (path.includes(`{${name}}`)) path = path.replace(`{${name}}`, encodeURIComponent(value));
    else query.set(name, value);
  }
  if (part.range) {
    const text = 'picker' in part.range ? picked[part.range.picker] : spanOf(part.range.last_seconds);
    if (text) ranged(query, text, endpoint);
  }
  if (endpoint.has_items) query.set('limit', String(part.kind === 'table' ? Math.min(part.limit ?? 100, endpoint.max_page_size) : endpoint.max_page_size));
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

type Body = { items?: Row[]; item?: Row; next?: string | null; as_of: AsOf | null; now: string | null };

async function rest(path: string, first: Body, wanted: number): Promise<Answer> {
  const rows = first.items ?? (first.item ? [first.item] : []);
  let next = first.next ?? null;
  while (next && rows.length < wanted) {
    const page = await json<Body>(`${path}&cursor=${encodeURIComponent(next)}`);
    rows.push(...(page?.body.items ?? []));
    next = page?.body.next ?? null;
  }
  return { rows, isCut: next !== null, asOf: first.as_of, now: first.now };
}

export class Asked {
  answer = $state.raw<Answer | null>(null);
  failed = $state.raw<Failed | null>(null);
  // A table asks for more than its first page.
  wanted = 0;
  #etag = '';
  #asking = false;

  constructor(
    readonly path: string,
    readonly isTable: boolean,
  ) {}

  async refresh(anew = false) {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const found = await json<Body>(this.path, anew ? undefined : this.#etag || undefined);
      if (found) {
        const rows = await rest(this.path, found.body, this.isTable ? this.wanted : MOST_ROWS);
        this.answer = rows;
        this.#etag = found.etag;
      }
      this.failed = null;
    } catch (error) {
      this.failed = error instanceof Failed ? error : new Failed('This could not be shown', String(error));
    } finally {
      this.#asking = false;
    }
  }

  async more(rows: number) {
    this.wanted = rows;
    await this.refresh(true);
  }
}

export function defaultOf(picker: Picker, spanOf: (seconds: number) => string): string {
  return picker.kind === 'range' ? spanOf(picker.default_seconds) : (picker.default ?? '');
}
