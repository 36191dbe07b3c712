// Compresses what was built, says its size, and fails above the limit.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

const limit = 300 * 1024;
const dist = new URL('../dist', import.meta.url).pathname;
let total = 0;
for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || entry.name.startsWith('.') || entry.name.endsWith('.br')) continue;
  const path = join(entry.parentPath, entry.name);
  const bytes = readFileSync(path);
  const packed = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  if (packed.length < bytes.length) writeFileSync(`${path}.br`, packed);
  total += Math.min(packed.length, bytes.length);
}
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
console.log(`dashboard: ${kib(total)} compressed, of at most ${kib(limit)}`);
if (total > limit) process.exit(1);
