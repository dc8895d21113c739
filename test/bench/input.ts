// How long training steps wait for their pictures: `npm run bench:input`. Packed CIFAR-10 where it was downloaded, JPEG
// files in a folder for each class with --jpeg, and photo-like JPEG files that it makes itself, of which each epoch sees
// other crops. docs/input.json has the figures, docs/benchmarks.md shows them.

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import type { Dataset } from '../../src/data/dataset.js';
import { downloadedFolder } from '../../src/data/locations.js';
import { openDataset } from '../../src/data/open.js';
import { native } from '../../src/native.js';
import { parseAugmentation } from '../../src/train/augmentation.js';
import { makeRecipe } from '../../src/train/recipe.js';
import { trainRun } from '../../src/train/run.js';
import { buildNetwork } from '../../src/zoo/zoo.js';
import { inputTable, keepInputRow, type Pace, readInputRows } from './input-rows.js';
import { machine, stamp } from './rows.js';

const { values } = parseArgs({
  options: {
    jpeg: { type: 'string' },
    threads: { type: 'string', default: String(native().info().hardwareThreads) },
    photos: { type: 'string', default: '512' },
  },
});
const threads = Number(values.threads);
const scratch = await mkdtemp(join(tmpdir(), 'dlcourse-input-'));

/** Trains for an epoch. */
async function pace(dataset: Dataset, network: string, batchSize: number, augment: string): Promise<Pace> {
  const { height, width, channels } = dataset.image;
  const model = await buildNetwork(network, [height, width, channels], dataset.classes.length);
  const recipe = makeRecipe({ epochs: 1, batchSize, threads, augmentation: parseAugmentation(augment) });
  const folder = await mkdtemp(join(scratch, 'run-'));
  for await (const event of trainRun({ folder, model, dataset, source: '', recipe, saveEvery: {}, config: {} })) {
    if (event.kind === 'end') return { imagesPerSecond: event.report.imagesPerSecond, waited: event.report.waited };
  }
  throw new Error(`${network}: the training ended without a report`);
}

/** Pictures a second that the training split delivers while nothing else runs. */
async function decodeRate({ splits: { train }, image }: Dataset): Promise<number> {
  const count = Math.min(train.length, 4096);
  const size = image.height * image.width * image.channels;
  const batch = new Uint8Array(64 * size);
  const begin = performance.now();
  for (let at = 0; at < count; at += 64) {
    await train.read(
      Array.from({ length: Math.min(64, count - at) }, (_, i) => at + i),
      batch,
    );
  }
  return (1000 * count) / (performance.now() - begin);
}

/** JPEG files of 500 × 375 pixels with the detail of photos: a drawing below noise of two scales. */
async function makePhotos(folder: string, count: number): Promise<void> {
  const size = { width: 500, height: 375, channels: 3 as const };
  const noise = (scale: number, sigma: number) =>
    sharp({
      create: {
        ...{ width: Math.round(size.width / scale), height: Math.round(size.height / scale), channels: 3 },
        ...{ background: '#808080', noise: { type: 'gaussian', mean: 128, sigma } },
      },
    })
      .resize(size.width, size.height, { kernel: 'cubic' })
      .png()
      .toBuffer();
  for (let i = 0; i < count; i++) {
    const at = join(folder, i % 32 === 31 ? 'test' : 'train', i % 2 ? 'b' : 'a');
    await mkdir(at, { recursive: true });
    const background = { r: (53 * i) % 256, g: (91 * i) % 256, b: (151 * i) % 256 };
    await sharp({ create: { ...size, background } })
      .composite([
        { input: await noise(16, 60), blend: 'overlay' },
        { input: await noise(1, 20), blend: 'soft-light' },
      ])
      .jpeg({ quality: 90 })
      .toFile(join(at, `${i}.jpg`));
  }
}

interface Case {
  readonly pictures: string;
  readonly networks: readonly string[];
  readonly batchSize: number;
  readonly augment: string;
  readonly open: (store: 'packed' | 'streamed') => Promise<Dataset>;
  readonly files: boolean;
}

async function measure({ pictures, networks, batchSize, augment, open, files }: Case): Promise<void> {
  const packed = await open('packed');
  const streamed = files ? await open('streamed') : undefined;
  const decoded = streamed ? { decoded: await decodeRate(streamed) } : {};
  for (const network of networks) {
    const fromMemory = await pace(packed, network, batchSize, augment);
    const fromFiles = streamed ? { fromFiles: await pace(streamed, network, batchSize, augment) } : {};
    const { height, width } = packed.image;
    keepInputRow({
      ...{ pictures, network, input: `${height}×${width}`, ...machine(threads) },
      ...{ fromMemory, ...fromFiles, ...decoded, ...stamp() },
    });
  }
}

try {
  const small = { networks: ['resnet20'], batchSize: 128, augment: 'crop=4,flip' };
  if (existsSync(downloadedFolder('cifar10'))) {
    await measure({ ...small, pictures: 'CIFAR-10, packed', open: () => openDataset('cifar10'), files: false });
  } else console.error('CIFAR-10 is left out: dlcourse data get cifar10');
  if (values.jpeg) {
    const folder = values.jpeg;
    const open = (store: 'packed' | 'streamed') => openDataset(folder, { store });
    await measure({ ...small, pictures: 'JPEG files of 32×32', open, files: true });
  } else console.error('small JPEG files are left out: give their folder, --jpeg FOLDER');
  const photos = join(scratch, 'photos');
  await makePhotos(photos, Number(values.photos));
  await measure({
    ...{ pictures: 'JPEG files of 500×375', networks: ['mobilenet_v2', 'resnet18'], batchSize: 16 },
    ...{ augment: 'resized=0.08,flip', files: true },
    open: store => openDataset(photos, { store, input: [224, 224] }),
  });
} finally {
  await rm(scratch, { recursive: true, force: true });
}
console.log(inputTable(readInputRows()));
console.log('now: npm run docs');
