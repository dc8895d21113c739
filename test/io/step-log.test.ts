import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { csvRow, StepLog, writeCsv } from '../../src/io/step-log.js';
import { errorOf } from './fixture.js';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dlcourse-log-'));
  path = join(folder, 'log');
});
afterEach(() => rmSync(folder, { recursive: true }));

const text = () => readFileSync(path, 'utf8');

describe('JSON lines', () => {
  test('records are appended in order, also when not awaited one by one', async () => {
    const log = await StepLog.jsonl(path);
    expect(text()).toBe('');
    await Promise.all([1, 2, 3].map(step => log.append({ step, loss: step / 4, note: 'a\nb' })));
    expect(text()).toBe(
      '{"step":1,"loss":0.25,"note":"a\\nb"}\n{"step":2,"loss":0.5,"note":"a\\nb"}\n{"step":3,"loss":0.75,"note":"a\\nb"}\n',
    );
  });

  test('cutting back keeps what lies at or before the step, byte for byte, and goes on from there', async () => {
    writeFileSync(path, '{"step": 1}\n{ "loss":2.50, "step":2}\n{"step":3}\n');
    const log = await StepLog.jsonl(path);
    await log.truncateAfter(2);
    await log.append({ step: 3, loss: 1 });
    expect(text()).toBe('{"step": 1}\n{ "loss":2.50, "step":2}\n{"step":3,"loss":1}\n');
  });

  test('opening removes a torn last line and what is no record', async () => {
    writeFileSync(path, '{"step":1}\nnull\n{"step":"x"}\n{"loss":1}\n{"step":-1}\n\n{"step":2');
    await StepLog.jsonl(path);
    expect(text()).toBe('{"step":1}\n');
    appendFileSync(path, '{"step":2}'); // complete but for its line break: it cannot be told from a torn number
    await StepLog.jsonl(path);
    expect(text()).toBe('{"step":1}\n');
  });

  test('a failure names the file, and later records still go on', async () => {
    const log = await StepLog.jsonl(path);
    rmSync(path);
    await log.append({ step: 1 });
    expect(text()).toBe('{"step":1}\n');
    expect(await errorOf(() => StepLog.jsonl(join(folder, 'none', 'log')))).toMatchObject({ code: 'E_WRITE' });
    expect(await errorOf(() => StepLog.jsonl(folder))).toMatchObject({ code: 'E_READ' });
  });
});

describe('CSV', () => {
  test('has a header, empty fields for missing values, quotes where needed', async () => {
    const log = await StepLog.csv(path, ['epoch', 'step', 'loss', 'note']);
    await log.append({ step: 5, epoch: 1, loss: 0.1 });
    await log.append({ step: 9, note: 'a "b", c\nd' });
    expect(text()).toBe('epoch,step,loss,note\n1,5,0.1,\n,9,,"a ""b"", c d"\n');
    await log.truncateAfter(5);
    expect(text()).toBe('epoch,step,loss,note\n1,5,0.1,\n');
  });

  test('the step is found behind quoted fields, torn lines go', async () => {
    writeFileSync(path, 'note,step\n"a,1",2\n"b""",3\n"c,3\nd,4\ne,');
    const log = await StepLog.csv(path, ['note', 'step']);
    expect(text()).toBe('note,step\n"a,1",2\n"b""",3\nd,4\n');
    await log.truncateAfter(2);
    expect(text()).toBe('note,step\n"a,1",2\n');
  });

  test('a file with other columns is not mixed with these', async () => {
    writeFileSync(path, 'step,a\n1,2\n');
    expect(await errorOf(() => StepLog.csv(path, ['step', 'b']))).toMatchObject({ code: 'E_LOG_COLUMNS' });
    expect(text()).toBe('step,a\n1,2\n');
  });

  test('needs a column step', async () => {
    expect((await errorOf(() => StepLog.csv(path, ['epoch']))).message).toContain("expected a column 'step'");
  });

  test('rows', async () => {
    expect(csvRow([1, 'a', null, undefined, ' b', true, 0.5, 'x,y'])).toBe('1,a,,," b",true,0.5,"x,y"');
    await writeCsv(path, ['a', 'b'], [[1, 2]]);
    expect(text()).toBe('a,b\n1,2\n');
  });
});
