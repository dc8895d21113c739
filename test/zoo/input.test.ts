// A network that was saved for one size of pictures, at another: the same as if it had been written for that.

import { describe, expect, test } from '@jest/globals';
import { DlcourseError } from '../../src/errors.js';
import type { Model } from '../../src/layers/index.js';
import { allNetworks, buildNetwork } from '../../src/zoo/zoo.js';

const networks = (await allNetworks()).filter(({ forms }) => forms.imagenet);

const layers = (model: Model) =>
  model.config.layers.map(({ path, kind, config, inputs }) => [path, kind, config, inputs]);

/** The model at another size, or undefined where its layers depend on the size and it says so. */
function atInput(model: Model, shape: readonly number[]): Model | undefined {
  try {
    return model.withInput(shape);
  } catch (error) {
    if (error instanceof DlcourseError && error.code === 'E_INPUT') return undefined;
    throw error;
  }
}

describe('pictures 64 pixels larger', () => {
  let taken = 0;

  test.each(networks.map(network => [network.name, network] as const))('%s', async (name, { forms }) => {
    const [side] = forms.imagenet!.input;
    const model = await buildNetwork(name, [side, side, 3], 10, { form: 'imagenet' });
    const larger = atInput(model, [side + 64, side + 64, 3]);
    if (!larger) return;
    const written = await buildNetwork(name, [side + 64, side + 64, 3], 10, { form: 'imagenet' });
    expect(layers(larger)).toEqual(layers(written));
    expect(larger.state).toEqual(model.state);
    taken++;
  });

  test('most networks take them', () => {
    expect(taken).toBeGreaterThan(0.9 * networks.length);
  });
});
