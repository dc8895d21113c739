// The fuzz test of PyTorch checkpoints for as long as wanted: run by hand, as
//   node dist/test/io/pytorch-fuzz-run.js [SEED [COUNT]]

import { seeded } from './mutate.js';
import { fuzz } from './pytorch-fuzz.js';

const [seed = '1', count = '200000'] = process.argv.slice(2);
const codes = await fuzz(Number(count), seeded(Number(seed)));
for (const [code, times] of [...codes].sort(([, a], [, b]) => b - a)) console.log(`${times}\t${code}`);
console.log(`${Math.round(process.resourceUsage().maxRSS / 1024)} MiB at most`);
