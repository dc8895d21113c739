// Every mutant that our reader accepts, PyTorch reads with the same content: run by hand, as
//   node dist/test/io/pytorch-differential.js OUT [SEED [COUNT]] && python test/io/pytorch_differential.py OUT

import { writeFileSync } from 'node:fs';
import { openPytorch } from '../../src/io/pytorch.js';
import { seeded } from './mutate.js';
import { memoryFile } from './pytorch-files.js';
import { mutatePytorch, verdict } from './pytorch-fuzz.js';

const [out, seed = '1', count = '50000'] = process.argv.slice(2);
const random = seeded(Number(seed));
const lines: string[] = [];
for (let i = 0; i < Number(count); i++) {
  const mutant = mutatePytorch(random);
  if ((await verdict(mutant)) !== 'accepted') continue;
  const file = await openPytorch('x.pt', { fs: memoryFile(mutant) });
  const tensors: unknown[] = [];
  for (const name of file.tensors.keys()) {
    const { dtype, shape, data } = await file.tensor(name);
    tensors.push([name, dtype, shape, Buffer.from(data.buffer).toString('hex')]);
  }
  lines.push(JSON.stringify({ file: Buffer.from(mutant).toString('hex'), tensors, scalars: file.scalars.size }));
}
writeFileSync(out, `${lines.join('\n')}\n`);
