import { testPipes } from '../../test/pipe-laws.ts';

testPipes({ place: 'SQLite', open: async () => ({ places: {}, close: async () => {} }), skip: false });
