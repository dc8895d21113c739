// What `dlcourse predict PICTURE --weights WEIGHTS` does, with onnxruntime-node and sharp: startup.ts measures it beside
// ours. usage: startup_onnxruntime.js MODEL CARD PICTURE FOLDER THREADS, of an ONNX file, JSON with its classes and
// preprocessing, and the folder that has onnxruntime-node.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import sharp, { type KernelEnum } from 'sharp';
import type { Preprocessing } from '../../src/data/preprocessing.js';

/** As much of it as is used here. */
interface OnnxRuntime {
  readonly InferenceSession: {
    create(
      file: string,
      options: { intraOpNumThreads: number },
    ): Promise<{
      run(feeds: Record<string, object>): Promise<Record<string, { data: Float32Array }>>;
    }>;
  };
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => object;
}

async function read(picture: string, how: Preprocessing): Promise<Float32Array> {
  const { width, height, channels, fit, cropFraction, interpolation, mean, std } = how;
  const scale = fit === 'crop' ? 1 / cropFraction : 1;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  const resized = { fit: fit === 'crop' ? ('cover' as const) : ('fill' as const), kernel: kernels[interpolation] };
  const window = { left: Math.floor((wide - width) / 2), top: Math.floor((high - height) / 2), width, height };
  const bytes = await sharp(picture)
    .rotate()
    .flatten({ background: '#ffffff' })
    .resize(wide, high, resized)
    .extract(window)
    .toColourspace(channels === 3 ? 'srgb' : 'b-w')
    .raw()
    .toBuffer();
  const area = width * height;
  return Float32Array.from({ length: channels * area }, (_, i) => {
    const channel = Math.floor(i / area);
    return (bytes[(i % area) * channels + channel]! / 255 - mean[channel]!) / std[channel]!;
  });
}

const kernels: Record<Preprocessing['interpolation'], keyof KernelEnum> = {
  ...{ nearest: 'nearest', linear: 'linear', cubic: 'cubic', lanczos3: 'lanczos3' },
};

const [file, cardFile, picture, folder, threads] = process.argv.slice(2) as [string, string, string, string, string];
const { InferenceSession, Tensor } = createRequire(join(resolve(folder), 'package.json'))(
  'onnxruntime-node',
) as OnnxRuntime;
const card = JSON.parse(readFileSync(cardFile, 'utf8')) as { classes: string[]; preprocessing: Preprocessing };
const { channels, height, width } = card.preprocessing;
const [session, pixels] = await Promise.all([
  InferenceSession.create(file, { intraOpNumThreads: Number(threads) }),
  read(picture, card.preprocessing),
]);
const { y } = await session.run({ x: new Tensor('float32', pixels, [1, channels, height, width]) });
const largest = Math.max(...y!.data);
const shares = [...y!.data].map(score => Math.exp(score - largest));
const sum = shares.reduce((a, b) => a + b, 0);
const order = shares.map((share, index) => ({ share, index })).sort((a, b) => b.share - a.share);
for (const { share, index } of order.slice(0, 5)) {
  console.log(`${card.classes[index]}  ${((100 * share) / sum).toFixed(1)} %`);
}
