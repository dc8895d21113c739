// Drawings of networks: every layer once, nothing over anything else, the same bytes every time.

import { beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { conv2d, linear, Model, named, relu, residual, seq } from '../../src/layers/index.js';
import { summarize } from '../../src/layers/summary.js';
import { graphSvg, layoutGraph, type PlacedBox, type PlacedLine } from '../../src/report/graph.js';
import { boxesOf, modulePaths, type Unfold } from '../../src/report/graph-boxes.js';
import { buildNetwork, type Form, findNetwork } from '../../src/zoo/zoo.js';

/** Networks with chains, lists, branches, long skips and several inputs of a cell. */
const drawn: readonly (readonly [string, Form])[] = [
  ['lenet5', 'cifar'],
  ['vgg16', 'imagenet'],
  ['resnet18', 'imagenet'],
  ['googlenet', 'imagenet'],
  ['inception_v3', 'imagenet'],
  ['densenet121', 'imagenet'],
  ['mobilenet_v2', 'imagenet'],
  ['squeezenet1_1', 'imagenet'],
  ['shufflenet_v2_x1_0', 'imagenet'],
  ['se_resnet50', 'imagenet'],
  ['nasnet_a_cifar', 'cifar'],
];
const models = new Map<string, Model>();

beforeAll(async () => {
  for (const [name, form] of drawn) {
    const { input, classes } = (await findNetwork(name)).forms[form]!;
    models.set(name, await buildNetwork(name, input, classes, { form, auxiliary: true }));
  }
});

const names = drawn.map(([name]) => name);
const views: readonly Unfold[] = [false, true];
const titles = (model: Model, unfold: Unfold = false): string[] =>
  boxesOf(model, unfold).map(box => (box.repeats > 1 ? `${box.title} ×${box.repeats}` : box.title));

/** Whether a straight or bent piece of a line may touch a box: bends stay between the heights of their ends. */
function touches([from, to]: readonly (readonly [number, number])[], b: PlacedBox): boolean {
  const [left, right] = [Math.min(from![0], to![0]), Math.max(from![0], to![0])];
  return left < b.x + b.width && right > b.x && from![1] < b.y + b.height - 1e-6 && to![1] > b.y + 1e-6;
}

const pieces = (line: PlacedLine): (readonly (readonly [number, number])[])[] =>
  line.slice(1).map((point, i) => [line[i]!, point]);

describe('boxes', () => {
  test.each(names)('%s: every layer is in one box, and the counts add up', name => {
    const model = models.get(name)!;
    const summary = summarize(model);
    for (const unfold of views) {
      const boxes = boxesOf(model, unfold);
      const paths = boxes.flatMap(box => box.layers.map(layer => layer.path));
      expect([...paths].sort()).toEqual(summary.layers.map(layer => layer.path).sort());
      for (const key of ['parameters', 'multiplyAdds'] as const) {
        expect(boxes.reduce((sum, box) => sum + box[key], 0)).toBe(summary[key]);
      }
      if (unfold === true) expect(boxes).toHaveLength(summary.layers.length);
      // Boxes read what comes before them: there is an order to draw them in.
      expect(boxes.filter((box, i) => box.reads.length === 0 || box.reads.some(read => read >= i))).toEqual([]);
    }
  });

  test('repeated modules are one box, the layers around a convolution part of its', () => {
    expect(titles(models.get('resnet18')!)).toEqual([
      'conv 7×7 / 2, 64',
      'max pool 3×3 / 2',
      'residual block ×2',
      ...Array.from({ length: 6 }, () => 'residual block'),
      'global average pool',
      'linear, 1000',
    ]);
    expect(titles(models.get('densenet121')!).filter(t => t.startsWith('dense'))).toEqual(
      [6, 12, 24, 16].map(n => `dense layer ×${n}`),
    );
    expect(boxesOf(models.get('vgg16')!)[0]).toMatchObject({ note: 'features.0 · relu', output: [224, 224, 64] });
    expect(titles(models.get('vgg16')!).slice(-4)).toEqual([
      'average pool to 7×7',
      ...['linear, 4096', 'linear, 4096', 'linear, 1000'],
    ]);
    expect(titles(models.get('googlenet')!).filter(t => t === 'parallel branches')).toHaveLength(9);
  });

  test('a deep network stays small', async () => {
    const boxes = boxesOf(await buildNetwork('resnet1202', [32, 32, 3], 10));
    expect(boxes.map(b => b.repeats)).toEqual([1, 200, 1, 199, 1, 199, 1, 1]);
  });

  test('one module is unfolded, the others are not', () => {
    const model = models.get('resnet18')!;
    expect(modulePaths(model)).toContain('stage2');
    const boxes = boxesOf(model, ['stage2.0']);
    expect(boxes.filter(b => b.layers.length === 1 && b.note.startsWith('stage2.0.')).map(b => b.title)).toEqual([
      ...['conv 3×3 / 2, 128', 'batch norm', 'relu', 'conv 3×3, 128', 'batch norm'],
      ...['conv 1×1 / 2, 128', 'batch norm', 'add', 'relu'],
    ]);
    expect(boxes.find(b => b.note.startsWith('stage2.1'))!.title).toBe('residual block');
  });
});

describe('layout', () => {
  test.each(names)('%s: no box meets another, no line a box, no text leaves its box', name => {
    for (const unfold of views) {
      const { boxes, lines, width, height } = layoutGraph(models.get(name)!, unfold);
      const wrong: unknown[] = [];
      for (const [i, b] of boxes.entries()) {
        const inside = b.x >= 0 && b.y >= 0 && b.x + b.width <= width && b.y + b.height <= height;
        const other = boxes.slice(i + 1).find(o => {
          return b.x < o.x + o.width && o.x < b.x + b.width && b.y < o.y + o.height && o.y < b.y + b.height;
        });
        if (!inside || other) wrong.push([b, other]);
        const spans = b.texts.map(t => {
          const left = t.anchor === 'start' ? t.x : t.x - t.width;
          return { y: t.y, left, right: left + t.width };
        });
        for (const t of spans) {
          const fits = t.left >= b.x + 4 && t.right <= b.x + b.width - 4 && t.y > b.y + 10 && t.y < b.y + b.height;
          const alone = spans.every(o => o === t || o.y !== t.y || o.right < t.left || t.right < o.left);
          if (!fits || !alone) wrong.push([b, t]);
        }
      }
      for (const line of lines) {
        for (const piece of pieces(line)) if (boxes.some(b => touches(piece, b))) wrong.push(line);
      }
      expect(wrong).toEqual([]);
      expect(lines).toHaveLength(boxes.reduce((sum, b) => sum + (b.box?.reads.length ?? 0), 0));
    }
  });

  test('a line begins at the box that is read and ends at its reader', () => {
    const { boxes, lines } = layoutGraph(models.get('resnet18')!, ['stage2']);
    const bottom = (b: PlacedBox) => [b.x + b.width / 2, b.y + b.height];
    for (const line of lines) {
      expect(boxes.some(b => bottom(b).every((v, i) => Math.abs(v - line[0]![i]!) < 1e-6))).toBe(true);
      expect(boxes.some(b => [b.x + b.width / 2, b.y].every((v, i) => Math.abs(v - line.at(-1)![i]!) < 1e-6))).toBe(
        true,
      );
    }
  });

  test('parallel branches stand side by side, a skip beside what it skips', () => {
    const { boxes } = layoutGraph(models.get('googlenet')!, ['inception3a']);
    const row = boxes.filter(b => b.box?.layers[0]?.path.match(/^inception3a\.(1x1|3x3\.reduce|5x5\.reduce)\.conv$/));
    expect(new Set(row.map(b => b.y)).size).toBe(1);
    expect(new Set(row.map(b => b.x)).size).toBe(3);
    const skip = layoutGraph(models.get('resnet18')!, ['stage2.1']);
    const long = skip.lines.find(line => line.length > 2)!;
    const passed = skip.boxes.filter(b => b.y > long[0]![1] && b.y + b.height < long.at(-1)![1]);
    expect(passed.length).toBe(5);
    expect(passed.every(b => long[1]![0] > b.x + b.width)).toBe(true);
  });
});

describe('picture', () => {
  test('is well-formed, drawn on paper of its own, and the same every time', async () => {
    const model = models.get('resnet18')!;
    const svg = graphSvg(model, { title: 'resnet18, imagenet form' });
    expect(graphSvg(model, { title: 'resnet18, imagenet form' })).toBe(svg);
    expect(svg).toContain('<title>resnet18, imagenet form</title><desc>');
    expect(svg).toContain('11,689,512 parameters, 1.81 G multiply-adds');
    expect(svg).toContain('prefers-color-scheme:dark');
    const { data, info } = await sharp(Buffer.from(svg)).raw().toBuffer({ resolveWithObject: true });
    expect([...data.subarray(0, 3)]).toEqual([255, 255, 255]);
    expect(svg).toContain(`width="${info.width}" height="${info.height}"`);
    await sharp(Buffer.from(graphSvg(model, { unfold: true }))).metadata();
  });

  test('names from files are escaped', async () => {
    const model = Model.from(
      [8, 8, 1],
      seq({
        '<script>&"': conv2d(2, 3),
        sum: x => residual(named('\u0000]]>', seq(conv2d(2, 3), relu())), undefined)(x),
        end: conv2d(1, 8),
      }),
      '"><b>\u202e',
    );
    const svg = graphSvg(model, { unfold: true });
    for (const part of ['<script', '<b>', '\u0000', '\u202e']) expect(svg).not.toContain(part);
    await sharp(Buffer.from(svg)).metadata();
  });

  test('a model of one layer', async () => {
    const svg = graphSvg(Model.from([3], linear(2)));
    await sharp(Buffer.from(svg)).metadata();
    expect(svg).toContain('linear, 2');
  });
});
