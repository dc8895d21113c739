// What is on pictures: the same answers by every way, and those of PyTorch on a photograph.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { openImageFolder } from '../../src/data/image-folder.js';
import { conv2d, globalAvgPool, linear, Model, relu, seq } from '../../src/layers/index.js';
import { packageRoot } from '../../src/package.js';
import { compile, type Learner, load } from '../../src/train/learner.js';

const scratch = mkdtempSync(path.join(tmpdir(), 'dlcourse-test-'));
process.env['DLCOURSE_CACHE'] = path.join(scratch, 'cache');
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('pictures of any size', () => {
  const sizes = [
    [31, 47],
    [64, 20],
    [16, 16],
    [45, 45],
  ];
  const files = sizes.map((_, i) => path.join(scratch, 'set', 'test', 'ab'[i % 2]!, `${i}.png`));
  let learner: Learner;

  beforeAll(async () => {
    for (const part of ['train', 'test']) {
      for (const [i, [height, width]] of sizes.entries()) {
        const file = path.join(scratch, 'set', part, 'ab'[i % 2]!, `${i}.png`);
        mkdirSync(path.dirname(file), { recursive: true });
        const pixels = Uint8Array.from({ length: height! * width! * 3 }, (_, p) => (p * (7 + i) + (p >> 5)) % 256);
        writeFileSync(
          file,
          await sharp(pixels, { raw: { height: height!, width: width!, channels: 3 } })
            .png()
            .toBuffer(),
        );
      }
    }
    const model = Model.from([16, 16, 3], seq(conv2d(8, 3), relu(), globalAvgPool(), linear(2)));
    learner = compile(model, { epochs: 1, batchSize: 2, lr: 0.1, seed: 3 });
    await learner.fit(await openImageFolder('set', path.join(scratch, 'set'), { input: [16, 16] }));
  });

  test('are answered as they are evaluated, and as rows of the same numbers', async () => {
    const answers = await learner.classify(files);
    expect(answers.map(a => a.name)).toEqual(files);
    const data = await openImageFolder('set', path.join(scratch, 'set'), { input: [16, 16] });
    const evaluation = await learner.evaluate(data);
    const loss = answers.reduce((sum, { predictions }, i) => {
      return sum - Math.log(predictions.find(p => p.index === i % 2)!.probability) / files.length;
    }, 0);
    expect(evaluation.loss).toBeCloseTo(loss, 5);
    const again = path.join(scratch, 'model.safetensors');
    await learner.save(again);
    expect(await (await load(again)).classify(files)).toEqual(answers);
  });

  test('may be cut otherwise, where the model can take it', async () => {
    const [answer] = await learner.classify(files[0]!, { crop: [24, 20], resize: 30 });
    const [usual] = await learner.classify(files[0]!);
    expect(answer!.scores).not.toEqual(usual!.scores);
    const refused = await learner.classify(files[0]!, { crop: [24, 20], crops: 144 }).catch(e => e);
    expect(refused.message).toBe('144 crops: expected a square input, got 24×20; take 5 or 10 crops');
  });

  test('a bad one is named', async () => {
    const error = await learner.classify([files[0]!, path.join(scratch, 'none.png')]).catch(e => e);
    expect(error).toMatchObject({ code: 'E_NOT_FOUND', where: path.join(scratch, 'none.png') });
    const rows = compile(Model.from([4], linear(2)));
    expect(await rows.classify(files).catch(e => e)).toMatchObject({ code: 'E_NO_PREPROCESSING', class: 'mismatch' });
  });
});

// Probabilities of a Samoyed, by PyTorch 2.14 with Pillow 13 and torchvision's transforms: TensorFlow's weights of
// MobileNet v1, width 0.25; the crops are averaged after the softmax.
const shared = path.join(packageRoot, '..', 'shared', 'data');
const photograph = path.join(shared, 'images', 'dog.jpg');
const weights = path.join(shared, 'weights', 'imagenet-mobilenet_v1_0.25_224.pth');
const present = existsSync(photograph) && existsSync(weights);
describe('a photograph', () => {
  (present ? test : test.skip).each([
    ['one crop', {}, 0.54505],
    ['5 crops', { crops: 5 }, 0.486804],
    ['10 crops', { crops: 10 }, 0.496493],
    ['144 crops', { crops: 144 }, 0.461428],
    ['256 of 288 pixels', { crop: [256, 256], resize: 288 }, 0.558626],
  ] as const)('is named as by PyTorch: %s (needs ../shared/data)', async (_, options, probability) => {
    const [answer] = await (await load(weights)).classify(photograph, options);
    expect(answer!.predictions[0]).toMatchObject({ index: 258, label: 'Samoyed' });
    expect(Math.abs(answer!.predictions[0]!.probability - probability)).toBeLessThan(1e-5);
  });
});
