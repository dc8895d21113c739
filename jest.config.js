// Tests run on what is built: dist/test, beside dist/src and dist/cli.
export default {
  rootDir: '.',
  roots: ['<rootDir>/dist/test'],
  testMatch: ['<rootDir>/dist/test/**/*.test.js'],
  transform: {},
  testEnvironment: 'node',
  maxWorkers: 2,
  testTimeout: 60_000,
};
