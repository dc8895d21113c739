// What our reader accepts, the reference library accepts with the same content: run by hand, as
//   node dist/test/io/differential.js OUT [SEED [COUNT]] && python test/io/differential.py OUT

import { writeFileSync } from 'node:fs';
import { DlcourseError } from '../../src/errors.js';
import { decodeSafetensors, encodeSafetensors } from '../../src/io/safetensors.js';
import { fixture } from './fixture.js';
import { assemble, mutateSafetensors, seeded } from './mutate.js';

const [out, seed = '1', count = '20000'] = process.argv.slice(2);
const info = (shape: string, offsets: string, dtype = 'F32') =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
const seeds = [
  fixture('reference.safetensors'),
  assemble(`{"w":${info('[1]', '[0,4]')}}`, new Uint8Array(4)),
  assemble(
    `{"__metadata__":{"k":"v"},"e":${info('[0,7]', '[0,0]')},"x":${info('[2]', '[0,8]')},"y":${info('[1,3]', '[8,11]', 'U8')}}`,
    new Uint8Array(11),
  ),
  encodeSafetensors([{ name: 'a', dtype: 'F32', shape: [2, 2], data: new Float32Array(4) }], [['epoch', '3']], 'x'),
  assemble('{}', new Uint8Array(0)),
];

/** The tensors we read, as hexadecimal bytes, or the code of our refusal. */
function verdict(bytes: Uint8Array): unknown {
  try {
    const tensors = [...decodeSafetensors(bytes, 'x').tensors.values()];
    return { tensors: tensors.map(t => [t.name, t.dtype, t.shape, Buffer.from(t.data.buffer).toString('hex')]) };
  } catch (error) {
    if (!(error instanceof DlcourseError)) throw error;
    return { code: error.code };
  }
}

const random = seeded(Number(seed));
const lines: string[] = [];
for (let i = 0; i < Number(count); i++) {
  const mutant = mutateSafetensors(seeds[i % seeds.length], random);
  lines.push(JSON.stringify({ file: Buffer.from(mutant).toString('hex'), ours: verdict(mutant) }));
}
writeFileSync(out, `${lines.join('\n')}\n`);
