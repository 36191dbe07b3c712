// What the operations API answers (model/src/operations, report.rs, plan.rs), and how it is said.

import { counted, figure, size } from './format';

export type Severity = 'ok' | 'attention' | 'failing';
export type Finding = { severity: Severity; about: string; message: string; advice: string; command: string | null };
export type Reading = { from: string; position: number | null; version: number | null; behind: number | null };
export type TableState = {
  name: string;
  version: number | null;
  rows: number | null;
  files: number;
  bytes: number;
  committed_at: string | null;
  newest_event: string | null;
  reads: Reading[];
};
export type LandedFile = { receipt: number; file_name: string; bytes: number; received_at: string };
export type LandingState = { source: string; landings: string[]; files: number; bytes: number; newest: LandedFile | null };
export type NodeState = { address: string; datacenter: string | null; rack: string | null; is_up: boolean };
export type ServedTable = { name: string; reads: Reading; written_at: string | null; newest_event: string | null };
export type Serving = {
  keyspace: string | null;
  state: 'not_needed' | 'waiting' | 'connected' | 'unprepared' | 'lost';
  reason: string | null;
  nodes: NodeState[];
  milliseconds: number | null;
  tables: ServedTable[];
};
export type Holder = { command: string; process: number; host: string; since: string };
export type Overview = {
  pipeline: string;
  lake: { path: string; is_there: boolean; problem: string | null };
  health: Severity;
  findings: Finding[];
  holder: Holder | null;
  last_run: RunSummary | null;
  landings: LandingState[];
  raw: TableState[];
  quarantine: TableState | null;
  use_cases: TableState[];
  serving: Serving;
};

export type RunState = 'running' | 'done' | 'failed' | 'stopped' | 'cut_off';
export type RunError = { message: string; hint: string | null; exit_code: number };
export type Counts = {
  read: number;
  accepted: number;
  duplicate: number;
  rejected: number;
  dropped: number;
  sliced_off: number;
  too_old: number;
  conflicting: number;
};
export type RunSummary = {
  id: string;
  command: string;
  state: RunState;
  started_at: string;
  ended_at: string | null;
  error: RunError | null;
  fetched: number;
  counts: Counts;
  merged: number;
  sent: number;
  accounting_closes: boolean;
  peak_memory_bytes: number | null;
  surprises: string[];
};
export type Known = 'exact' | 'at_most' | 'estimated' | 'later';
export type Beside = { planned: number; known: Known; fact: number };
export const PLANNED = ['rows', 'commits', 'groups', 'files', 'bytes'] as const;
export type StageReport = {
  stage: string;
  target: string;
  outcome: 'done' | 'up_to_date';
  counts: Counts;
  written: number;
  deleted: number;
  commits: number;
  bytes: number;
  seconds: number;
  position: number | null;
  notes: string[];
  checks: { name: string; on_failure: 'quarantine' | 'drop' | 'fail' | 'warn'; failed: number }[];
  drift: { field: string; kind: 'unknown' | 'missing'; records: number; column: string | null }[];
  planned: Partial<Record<(typeof PLANNED)[number], Beside | null>>;
};
export type RunReport = {
  pipeline: string;
  started_at: string;
  seconds: number;
  slice: string | null;
  lake: string;
  keyspace: string | null;
  stages: StageReport[];
  accounting_closes: boolean;
  peak_memory_bytes: number | null;
};
export type RunRecord = {
  id: string;
  command: string;
  version: string;
  process: number;
  host: string;
  state: RunState;
  started_at: string;
  ended_at: string | null;
  error: RunError | null;
  report: RunReport;
  remaining: [string, string][];
};

export type RejectSample = { receipt: number; entry: string; position: number; detail: string; record: string };
export type RejectGroup = {
  table: string;
  reason: string;
  rule: string;
  is_stopped: boolean;
  records: number;
  first: string;
  last: string;
  samples: RejectSample[];
  list: string;
  replay: string;
};
export type Rejects = { pipeline: string; version: number | null; records: number; groups: RejectGroup[] };

export const VERDICTS: Record<Severity, string> = { ok: 'All is well', attention: 'Needs attention', failing: 'Failing' };
export const RUN_STATES: Record<RunState, string> = { running: 'Running', done: 'Done', failed: 'Failed', stopped: 'Stopped', cut_off: 'Cut off' };
export const RUN_SAID: Record<RunState, string> = { running: 'is running', done: 'ended well', failed: 'failed', stopped: 'was stopped', cut_off: 'was cut off' };
export const SERVING_STATES: Record<Serving['state'], string> = {
  not_needed: 'Not needed',
  waiting: 'Has not answered yet',
  connected: 'Connected',
  unprepared: 'Answers, but tables are missing or differ',
  lost: 'Lost',
};
export const FATES = { accepted: 'accepted', duplicate: 'duplicate', rejected: 'rejected', dropped: 'dropped', sliced_off: 'sliced off', too_old: 'too old' } as const;
export type Fate = keyof typeof FATES;
export const FATE_NAMES = Object.keys(FATES) as Fate[];

// `joint` stands between the words and what is read: "up to date with raw.events".
export type Lag = { state: 'even' | 'behind' | 'ahead' | 'unknown'; words: string; joint: string };

export function lag({ from, position, version, behind }: Reading): Lag {
  if (position !== null && version !== null && position > version && !from.startsWith('landing.')) return { state: 'ahead', words: 'ahead', joint: 'of' };
  if (version === null) return { state: 'unknown', words: 'nothing there yet', joint: 'in' };
  if (behind === null) return { state: 'unknown', words: 'not known how far', joint: 'behind' };
  if (behind === 0) return { state: 'even', words: 'up to date', joint: 'with' };
  return { state: 'behind', words: `${counted(behind, from.startsWith('landing.') ? 'file' : 'version')} behind`, joint: '' };
}

// The plan did not hold, or far less came than it allowed for (Beside::is_worth_telling).
export function isSurprise({ planned, known, fact }: Beside): boolean {
  const isFarLess = fact < Math.floor(planned / 2);
  if (known === 'exact') return planned !== fact;
  return known === 'at_most' ? fact > planned || isFarLess : fact > planned * 2 || isFarLess;
}

const RELIED: Record<Known, string> = { exact: 'exactly', at_most: 'at most', estimated: 'about', later: 'about' };

export function relied(value: number, known: Known, isBytes = false): string {
  if (!isBytes) return `${RELIED[known]} ${figure(value, 'number')}`;
  return known === 'exact' ? size(value) : `${RELIED[known]} ${size(value)}`;
}

export function sum(counts: Counts): string {
  const parts = FATE_NAMES.filter((fate) => counts[fate] > 0 || fate === 'accepted' || fate === 'rejected');
  return `read ${figure(counts.read, 'number')} = ${parts.map((fate) => `${FATES[fate]} ${figure(counts[fate], 'number')}`).join(' + ')}`;
}

export function closes(counts: Counts): boolean {
  return counts.read === FATE_NAMES.reduce((total, fate) => total + counts[fate], 0);
}

// How long it took, or takes until now; null where its end was not seen.
export function seconds({ started_at, ended_at, state }: Pick<RunSummary, 'started_at' | 'ended_at' | 'state'>, now: number): number | null {
  if (!ended_at && state !== 'running') return null;
  const length = Math.max(0, ((ended_at ? Date.parse(ended_at) : now) - Date.parse(started_at)) / 1000);
  return ended_at ? Math.max(0.01, Math.round(length * 100) / 100) : Math.floor(length);
}
