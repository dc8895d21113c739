// The first batch as the network sees it, as one PNG: what learners look at before they trust their augmentation.

import { loadSharp } from '../data/sharp.js';
import { Graph } from '../graph/graph.js';
import { Program, Store } from '../runtime/program.js';
import type { ImageSource } from './inputs.js';
import { epochOrder } from './order.js';

/** A grid of up to 64 augmented images of the first epoch, each enlarged to about 64 pixels. PNG bytes. */
export async function augmentedPicture(source: ImageSource, seed: number): Promise<Uint8Array> {
  const samples = epochOrder(source.length, seed, 0).slice(0, 64);
  const { height, width, channels } = source.split.image;
  const graph = new Graph();
  graph.outputs.set('x', source.input(graph));
  const program = new Program(graph, { batch: samples.length, store: new Store() });
  const feeds = await source.feeds(samples, { seed, epoch: 0 });
  const { results } = await program.run(pick(feeds, [...graph.feeds.keys()]), samples.length);
  program.dispose();

  const { mean, std } = source.preprocessing;
  const pixels = results['x'] as Float32Array;
  const columns = Math.ceil(Math.sqrt(samples.length));
  const gap = 1;
  const sheetWidth = columns * (width + gap) + gap;
  const sheetHeight = Math.ceil(samples.length / columns) * (height + gap) + gap;
  const sheet = new Uint8Array(sheetWidth * sheetHeight * 3).fill(255);
  samples.forEach((_, i) => {
    const left = gap + (i % columns) * (width + gap);
    const top = gap + Math.floor(i / columns) * (height + gap);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        for (let c = 0; c < 3; c++) {
          const channel = channels === 1 ? 0 : c;
          const value = pixels[((i * height + y) * width + x) * channels + channel]!;
          const byte = Math.round(255 * (value * std[channel]! + mean[channel]!));
          sheet[((top + y) * sheetWidth + left + x) * 3 + c] = Math.min(255, Math.max(0, byte));
        }
      }
    }
  });
  const zoom = Math.max(1, Math.floor(64 / Math.max(height, width)));
  return loadSharp()(sheet, { raw: { width: sheetWidth, height: sheetHeight, channels: 3 } })
    .resize({ width: sheetWidth * zoom, height: sheetHeight * zoom, kernel: 'nearest' })
    .png()
    .toBuffer();
}

function pick<T>(record: Readonly<Record<string, T>>, names: readonly string[]): Record<string, T> {
  return Object.fromEntries(names.map(name => [name, record[name]!]));
}
