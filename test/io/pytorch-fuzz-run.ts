// The fuzz test of PyTorch checkpoints for as long as wanted: run by hand, as
//   npm run fuzz -- [SEED [COUNT]]

import { seeded } from './mutate.js';
import { fuzz } from './pytorch-fuzz.js';

const [seed = '1', count = '1000000'] = process.argv.slice(2);
const part = 50_000;
const random = seeded(Number(seed));
const codes = new Map<string, number>();
for (let done = 0; done < Number(count); done += part) {
  const found = await fuzz(Math.min(part, Number(count) - done), random);
  for (const [code, times] of found) codes.set(code, (codes.get(code) ?? 0) + times);
  const memory = Math.round(process.resourceUsage().maxRSS / 1024);
  console.error(`${Math.min(done + part, Number(count))} mutants of seed ${seed}, ${memory} MiB at most`);
}
for (const [code, times] of [...codes].sort(([, a], [, b]) => b - a)) console.log(`${times}\t${code}`);
