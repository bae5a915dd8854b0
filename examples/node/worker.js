'use strict';
// A worker for hatchery in Node.js (20 or newer, no packages), written from docs/design/wire.md alone. To write one in
// a fourth language, read the three files in this order: this one is the tools, `calls.js` is the life of a worker and
// of its calls, `frames.js` is bytes. Only this file is about the app; the other two serve any set of tools.

const delay = require('node:timers/promises').setTimeout;
const { work } = require('./calls.js');

// `run` gets its arguments by name, checked against `parameters`, and its call: `call.signal` tells of a cancel,
// `call.host(tool, args)` asks the host. A streaming tool is a generator, plain or async.
work('worker.js', {
  word_count: {
    doc: 'Count the words of a text.',
    parameters: { text: 'string' },
    run({ text }) {
      const counts = new Map();
      for (const word of text.match(/\S+/g) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
      return Object.fromEntries(counts);
    },
  },
  countdown: {
    doc: 'Count down from n to 1.',
    parameters: { n: 'integer' },
    streaming: true,
    *run({ n }) {
      console.log(`counting down from ${n}`); // descriptor 1 is not the wire: this becomes a line of worker log
      while (n > 0) yield n--;
    },
  },
  reverse: {
    doc: 'Turn bytes round.',
    parameters: { data: 'bytes' },
    run: ({ data }) => Buffer.from(data).reverse(),
  },
  slow: {
    doc: 'Answer after some milliseconds. A cancel ends the timer at once.',
    parameters: { ms: 'integer' },
    run: ({ ms }, call) => delay(ms, ms, { signal: call.signal }),
  },
  lookup: {
    doc: 'What the host knows about a key.',
    parameters: { key: 'string' },
    run: ({ key }, call) => call.host('lookup', { key }),
  },
  fail: {
    doc: 'Always raise an error.',
    parameters: {},
    run() { throw new RangeError('this tool always fails'); },
  },
});
