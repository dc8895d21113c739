// Summaries against counts made by hand.

import { describe, expect, test } from '@jest/globals';
import { concat, conv2d, Model, named, relu, summarize } from '../../src/layers/index.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

describe('summary', () => {
  test('LeNet-5 (LeCun et al. 1998) layer by layer', async () => {
    const summary = summarize(await buildNetwork('lenet5', [28, 28, 1], 10));
    const counted = summary.layers.filter(layer => layer.parameters > 0);
    expect(counted.map(l => [l.path, l.parameters, l.multiplyAdds, l.output])).toEqual([
      ['c1', 6 * 25 + 6, 28 * 28 * 6 * 25, [28, 28, 6]],
      ['c3', 16 * 6 * 25 + 16, 10 * 10 * 16 * 6 * 25, [10, 10, 16]],
      ['c5', 400 * 120 + 120, 400 * 120, [120]],
      ['f6', 120 * 84 + 84, 120 * 84, [84]],
      ['output', 84 * 10 + 10, 84 * 10, [10]],
    ]);
    expect(summary.parameters).toBe(61_706);
    expect(summary.multiplyAdds).toBe(416_520);
    expect(summary.layers[0]!.activationBytes).toBe(28 * 28 * 6 * 4);
  });

  test('branches and groups', () => {
    const model = Model.from([8, 8, 4], x =>
      concat(named('a', conv2d(6, 3, { groups: 2, bias: false }))(x), named('b', relu())(x)),
    );
    const { layers, parameters, multiplyAdds } = summarize(model);
    expect(layers.map(l => [l.path, l.kind, l.output])).toEqual([
      ['a', 'conv2d', [8, 8, 6]],
      ['b', 'relu', [8, 8, 4]],
      ['concat', 'concat', [8, 8, 10]],
    ]);
    expect(parameters).toBe(3 * 3 * 2 * 6);
    expect(multiplyAdds).toBe(8 * 8 * 6 * 3 * 3 * 2);
  });

  test('as text', () => {
    const text = Model.from([8, 8, 4], named('conv', conv2d(6, 3)), 'small').summary();
    const [title, head, row, totals] = text.split('\n');
    expect(title).toBe('small: input 8×8×4');
    expect(head).toMatch(/^layer +kind +output +parameters +multiply-adds +activations$/);
    expect(row).toMatch(/^conv +conv2d +8×8×6 +222 +13,824 +1\.5 KiB$/);
    expect(totals).toBe('222 parameters, 13,824 multiply-adds, 0.00 MiB of activations for one row');
  });
});
