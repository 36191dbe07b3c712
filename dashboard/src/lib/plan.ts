// What `/v1/_pipeline/plan` answers (model/src/plan.rs).

import type { Known } from './operations';

export type Amount = { known: Known; value: number | null; basis: string | null };
export type TableToMake = { store: string; table: string; change: 'create' | 'add_columns' | 'create_if_missing'; columns: [string, string][]; ddl: string | null };
export type SourceState = 'unchanged' | 'new' | 'changed' | 'unknown' | 'missing' | 'failing';
export type SourcePlan = { source: string; files: { url: string; state: SourceState; because: string; bytes: Amount }[]; bytes: Amount };
export type FileToLoad = {
  receipt: number;
  file_name: string;
  bytes: number;
  is_under_way: boolean;
  rows: Amount;
  commits: Amount;
  supersedes: { rows: Amount; files: Amount; bytes: Amount } | null;
};
export type RawPlan = { table: string; files: FileToLoad[]; rows: Amount; commits: Amount; rows_to_come: Amount; to_come: string | null };
export type MergeBatch = Record<'rows' | 'partitions' | 'files_read' | 'bytes_read' | 'files_rewritten' | 'bytes_rewritten' | 'inserted' | 'updated' | 'deleted', Amount> & {
  first_version: number;
  last_version: number;
};
export type MergePlan = { table: string; from: string; batches: MergeBatch[]; to_come: string | null };
export type ViewPlan = {
  table: string;
  changed_inputs: { input: string; taken_in: number | null; version: number }[];
  groups: Amount;
  all_because: string | null;
  reads: { input: string; files: Amount; bytes: Amount }[];
  files_read: Amount;
  bytes_read: Amount;
  to_come: string | null;
};
export type SendPlan = { table: string; from: string; checkpoint: number | null; version: number | null; upserts: Amount; deletes: Amount; to_come: string | null };
export type RetentionPlan = { table: string; retention_days: number; oldest_kept: string | null; dates: string[]; rows: number; files: number; bytes: number };
export type RunPlan = {
  pipeline: string;
  planned_at: string;
  seconds: number;
  slice: string | null;
  lake: string;
  cassandra: { keyspace: string | null; state: 'not_needed' | 'read' | 'not_read'; reason: string | null };
  tables: TableToMake[];
  sources: SourcePlan[];
  loads: RawPlan[];
  merges: MergePlan[];
  views: ViewPlan[];
  sends: SendPlan[];
  maintenance: RetentionPlan[];
  problems: string[];
  is_up_to_date: boolean;
};

export const SOURCE_STATES: Record<SourceState, string> = {
  unchanged: 'unchanged',
  new: 'new',
  changed: 'changed',
  unknown: 'known after fetching',
  missing: 'missing, skipped',
  failing: 'failing',
};
