import { describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { confusionSvg } from '../../src/report/confusion.js';
import { curvesSvg, type EpochPoint } from '../../src/report/curves.js';
import { escapeXml, formatTick, niceTicks, shorten } from '../../src/report/svg.js';

/** Parses the picture as XML and draws it; returns its size and how many of its pixels are not white. */
async function draw(svg: string): Promise<{ width: number; height: number; inked: number }> {
  const { data, info } = await sharp(Buffer.from(svg), { unlimited: true })
    .greyscale()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return {
    width: info.width,
    height: info.height,
    inked: data.reduce((count, grey) => count + (grey < 250 ? 1 : 0), 0),
  };
}

/** The drawn lines' points, by class. */
function linePoints(svg: string, style: 'a' | 'b'): string[] {
  return [...svg.matchAll(new RegExp(`<path class="line ${style}-line" stroke-width="2" d="([^"]*)"`, 'g'))].map(
    m => m[1],
  );
}

const texts = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(match => match[1]);

describe('svg', () => {
  test.each([
    [0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [0.13, 1.74, 5, [0, 0.5, 1, 1.5, 2]],
    [0.97, 0.998, 5, [0.97, 0.98, 0.99, 1]],
    [-3, 12, 5, [-5, 0, 5, 10, 15]],
    [5, 5, 5, [5, 6]],
    [0, 3e7, 3, [0, 1e7, 2e7, 3e7]],
  ])('nice ticks from %d to %d', (min, max, count, ticks) => {
    expect(niceTicks(min, max, count)).toEqual(ticks);
  });

  test('nice ticks are never finer than asked', () => {
    expect(niceTicks(0, 3, 8, 1)).toEqual([0, 1, 2, 3]);
  });

  test('ticks are written with the digits they need', () => {
    expect([formatTick(0.5, 0.5), formatTick(20, 20), formatTick(0.05, 0.05), formatTick(2e7, 1e7)]).toEqual([
      '0.5',
      '20',
      '0.05',
      '2.0e+7',
    ]);
  });

  test('text is escaped, forbidden characters replaced, long text cut between characters', () => {
    expect(escapeXml('<a b="c">&\'\u0000\u001b\ud800é\u{1f600}')).toBe(
      '&#60;a b=&#34;c&#34;&#62;&#38;&#39;\ufffd\ufffd\ufffdé\u{1f600}',
    );
    expect(shorten('\u{1f600}\u{1f600}\u{1f600}', 2)).toBe('\u{1f600}…');
  });
});

describe('curves', () => {
  const history: EpochPoint[] = [
    { epoch: 1, trainLoss: 2, testLoss: 1.5, trainAccuracy: 0.25, testAccuracy: 0.5 },
    { epoch: 2, trainLoss: 1, testLoss: 0.5, trainAccuracy: 0.75, testAccuracy: 0.9 },
    { epoch: 3, trainLoss: 0.5, testLoss: 0.75, trainAccuracy: 1, testAccuracy: 0.8125 },
  ];

  test('show every value in its place, the best and the last in words', async () => {
    const svg = curvesSvg(history, { title: 'lenet5 on <mine>', subtitle: 'seed 1' });
    expect(texts(svg)).toEqual(
      expect.arrayContaining([
        'lenet5 on &#60;mine&#62;',
        'seed 1',
        'best test 0.500, epoch 2',
        'best test 90.00 %, epoch 2',
        '0.750',
        '81.25 %',
        '100.00 %',
      ]),
    );
    // Loss axis 0 to 2 and epochs 0 to 3: values as shares of the panel, from its drawn base line and width.
    const [points] = linePoints(svg, 'a').map(d =>
      d
        .slice(1)
        .split('L')
        .map(p => p.split(' ').map(Number)),
    );
    const [x0, base, x1] = /class="axis" d="M([\d.]+) ([\d.]+)H([\d.]+)"/.exec(svg)!.slice(1).map(Number);
    const top = Number(/class="grid" d="M[\d.]+ ([\d.]+)H[\d.]+"\/>\s*<text[^>]*>2\.0</.exec(svg)![1]);
    const shares = points.map(([x, y]) => [(x - x0) / (x1 - x0), (base - y) / (base - top)]);
    [
      [1 / 3, 1],
      [2 / 3, 0.5],
      [1, 0.25],
    ].forEach(([across, up], i) => {
      expect(shares[i][0]).toBeCloseTo(across, 3);
      expect(shares[i][1]).toBeCloseTo(up, 3);
    });
    expect(await draw(svg)).toMatchObject({ width: 960, height: 400 });
  });

  test('values that were not measured are drawn over, values that are not finite leave a gap', () => {
    const svg = curvesSvg(
      [1, 2, Number.NaN, 4, 5].map((trainLoss, i) => ({
        epoch: i + 1,
        trainLoss,
        testLoss: i % 2 ? undefined : 1 + i,
      })),
      { title: 'x' },
    );
    expect(linePoints(svg, 'a')[0].replace(/[\d. ]+/g, '')).toBe('MLML');
    expect(linePoints(svg, 'b')[0].replace(/[\d. ]+/g, '')).toBe('MLL');
    expect(svg).not.toMatch(/NaN|Infinity|undefined|null/);
  });

  test.each<[string, EpochPoint[]]>([
    ['no epoch', []],
    ['one epoch', history.slice(0, 1)],
    ['a constant', [1, 2, 3].map(epoch => ({ epoch, trainLoss: 1, trainAccuracy: 1 }))],
    ['zeros', [1, 2].map(epoch => ({ epoch, trainLoss: 0, testLoss: 0, trainAccuracy: 0, testAccuracy: 0 }))],
    ['nothing finite', [{ epoch: 1, trainLoss: Number.NaN, testLoss: Number.POSITIVE_INFINITY }]],
    ['huge and tiny', [1, 2].map(epoch => ({ epoch, trainLoss: 1e30 / epoch, testLoss: 1e-30 }))],
    ['2,000 epochs', Array.from({ length: 2000 }, (_, i) => ({ epoch: i + 1, trainLoss: 1 / (i + 1) }))],
  ])('%s', async (_, points) => {
    const svg = curvesSvg(points, { title: 'x' });
    expect(svg).not.toMatch(/NaN|Infinity|undefined|null/);
    expect((await draw(svg)).inked).toBeGreaterThan(500);
  });

  test('follow the light or dark mode of the reader', () => {
    expect(curvesSvg(history, { title: 'x' })).toContain('@media (prefers-color-scheme:dark)');
  });
});

describe('confusion matrix', () => {
  const counts = [
    [8, 2, 0],
    [1, 9, 0],
    [0, 0, 0],
  ];
  const names = ['cat', '<dog>', 'fish'];

  test('shows counts, recall, precision and the most frequent mistakes', async () => {
    const svg = confusionSvg(counts, names, { title: 'three classes' });
    expect(texts(svg)).toEqual(
      expect.arrayContaining([
        '8',
        '2',
        '1',
        '9',
        '80.0 %',
        '90.0 %',
        '88.9 %',
        '81.8 %',
        'cat → &#60;dog&#62;: 2 (20.0 %)',
      ]),
    );
    expect(texts(svg).filter(content => content === '–')).toHaveLength(2); // no fish was shown, none was seen
    expect(svg).toContain('<title>cat → &#60;dog&#62;: 2 (20.0 %)</title>');
    expect(svg).toContain('17 of 20 on the diagonal');
    expect((await draw(svg)).inked).toBeGreaterThan(5000);
  });

  test('the fuller a cell of its row, the stronger its colour; empty cells have none', () => {
    const svg = confusionSvg(counts, names, { title: 'x' });
    const cells = [...svg.matchAll(/fill="(#\w+)" fill-opacity="([\d.]+)"/g)].map(m => [m[1], Number(m[2])] as const);
    expect(cells).toHaveLength(4);
    const [catRight, catWrong, dogWrong, dogRight] = cells;
    expect([catRight[0], dogRight[0]]).toEqual([catRight[0], catRight[0]]);
    expect(catWrong[0]).toBe(dogWrong[0]);
    expect(catWrong[0]).not.toBe(catRight[0]);
    expect([dogWrong, catWrong, catRight, dogRight].map(cell => cell[1])).toEqual(
      [dogWrong, catWrong, catRight, dogRight].map(cell => cell[1]).sort((a, b) => a - b),
    );
  });

  test.each([2, 20, 21, 100])('%d classes', async n => {
    const matrix = Array.from({ length: n }, (_, t) =>
      Uint32Array.from({ length: n }, (_, p) => (t === p ? 1000 : (t * p) % 7)),
    );
    const svg = confusionSvg(
      matrix,
      Array.from({ length: n }, (_, i) => `a rather long name of class ${i}`),
      { title: 'x' },
    );
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    const { width, height } = await draw(svg);
    expect([width < 1400, height < 1400]).toEqual([true, true]);
  });

  test('refuses counts that do not fit the names', () => {
    expect(() => confusionSvg([[1]], ['a', 'b'], { title: 'x' })).toThrow('expected 2 × 2 counts, got 1 rows');
  });
});
