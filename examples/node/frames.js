'use strict';
// Frames as bytes (wire.md, section 2): `frames` reads them off a stream, `encode` writes one, and nothing here knows
// what a frame is for. A binary value is a Buffer on this side and an attachment on the other.

const { randomBytes } = require('node:crypto');

const KIND = {
  HELLO: 1, READY: 2, SHUTDOWN: 3, PING: 4, PONG: 5,
  CALL: 16, RESULT: 17, CHUNK: 18, END: 19, ERROR: 20, CANCEL: 21, CREDIT: 22,
  HOST_CALL: 32, HOST_RESULT: 34, HOST_ERROR: 35,
};
const HEADER = 32;
const TABLE = 2; // where the table stands in what `encode` returns
const ALIGNMENT = 64;
const DEFAULT_LIMITS = { max_body: 64 << 20, max_table: 1 << 20, max_data: 1 << 30 };

// JSON.parse and JSON.stringify are the codec. They write NaN and infinities as null, as the wire wants it, but round
// integers beyond 2^53, which it does not: a language with big integers should do better.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const MARK = `$hy:${randomBytes(8).toString('hex')}`; // once per process: data of users never looks like it

// An object of JSON: no array, no null, no Buffer.
const isObject = (value) => Object.prototype.toString.call(value) === '[object Object]';

class Breach extends Error {} // the other side broke the contract; nothing after it on the stream can be trusted
class OverLimit extends Error {} // a value of ours is more than the other side accepts; the wire is fine

// The frames of one channel, one after another. `limits` is read anew for each, as HELLO changes it.
async function* frames(stream, limits) {
  const take = taker(stream);
  for (;;) {
    const frame = parse(await take(HEADER), limits); // before anything of a length that it refuses is read
    const body = await take(frame.body);
    const table = await take(frame.table);
    const data = await take(frame.data);
    yield { ...frame, body: unpack(body, table, data), attachments: frame.table > 0 };
  }
}

// A function that takes exactly `size` bytes off a stream; the stream keeps what has come, and joins it once. There is
// one listener for all of its life, as a new one is called at once for bytes that have already been found too few. At
// the end of the stream the promise stays open, which holds nothing up: who cares for the end listens to the stream.
function taker(stream) {
  let wake = () => {};
  stream.on('readable', () => wake());
  return async (size) => {
    for (;;) {
      const bytes = size > 0 ? stream.read(size) : Buffer.alloc(0);
      if (bytes?.length === size) return bytes;
      await new Promise((resolve) => { wake = resolve; });
    }
  };
}

// Ids are 64 bits wide, more than a number holds: they stay BigInt.
function parse(header, limits) {
  const frame = {
    kind: header[2], flags: header[3], body: header.readUInt32LE(4), id: header.readBigUInt64LE(8),
    table: header.readUInt32LE(16), extra: header.readUInt32LE(20), data: Number(header.readBigUInt64LE(24)),
  };
  const known = header.toString('latin1', 0, 2) === 'hy';
  const fault = known ? reserved(frame) ?? overLimit(frame, limits) : 'a wrong magic';
  if (fault) throw new Breach(fault);
  return frame;
}

function reserved({ kind, flags, extra, table, data }) {
  if (flags > (kind === KIND.CALL ? 1 : 0)) return `flags ${flags} on a frame of kind ${kind}`;
  if (extra > 0 && kind !== KIND.CALL && kind !== KIND.CREDIT) return `extra ${extra} on a frame of kind ${kind}`;
  return data > 0 && table === 0 ? 'a data section without a table' : null;
}

function overLimit(lengths, limits) {
  const part = ['body', 'table', 'data'].find((name) => lengths[name] > limits[`max_${name}`]);
  return part && `a ${part} of ${lengths[part]} bytes, where max_${part} is ${limits[`max_${part}`]}`;
}

// The value of a body, its marks replaced by the bytes they stand for; undefined if there is no body.
function unpack(body, table, data) {
  try {
    if (body.length === 0 && table.length === 0) return undefined;
    if (table.length === 0) return JSON.parse(utf8.decode(body));
    const { mark, items } = JSON.parse(utf8.decode(table));
    const isMark = (value) => isObject(value) && Object.hasOwn(value, mark) && Object.keys(value).length === 1;
    return JSON.parse(utf8.decode(body), (_, value) => (isMark(value) ? attachment(items[value[mark]], data) : value));
  } catch (error) {
    throw error instanceof Breach ? error : new Breach(`a body or table that cannot be read: ${error.message}`);
  }
}

// Bytes are a Buffer, without a copy. An array is its own description with a Buffer in it: Node has no such type.
function attachment(item, data) {
  const { kind, offset, length, ...about } = item ?? {};
  const fits = offset >= 0 && offset % ALIGNMENT === 0 && length >= 0 && offset + length <= data.length;
  if (!fits) throw new Breach(`no such attachment in ${data.length} bytes of data: ${JSON.stringify(item)}`);
  const bytes = data.subarray(offset, offset + length);
  return kind === 'bytes' ? bytes : { kind, ...about, bytes };
}

// One frame, as the buffers to write: header, body, table, and what the data section is made of.
// No value is no body, which is not the same as null.
function encode(kind, id, value, limits) {
  const { body, items, parts } = pack(value);
  const table = items.length > 0 ? Buffer.from(JSON.stringify({ mark: MARK, items })) : Buffer.alloc(0);
  const lengths = { body: body.length, table: table.length, data: parts.reduce((sum, part) => sum + part.length, 0) };
  const fault = overLimit(lengths, limits);
  if (fault) throw new OverLimit(fault);

  const header = Buffer.alloc(HEADER); // flags and extra are never ours to set
  header.write('hy', 'latin1');
  header[2] = kind;
  header.writeUInt32LE(lengths.body, 4);
  header.writeBigUInt64LE(id, 8);
  header.writeUInt32LE(lengths.table, 16);
  header.writeBigUInt64LE(BigInt(lengths.data), 24);
  return [header, body, table, ...parts];
}

// A value's JSON, with a mark for each Buffer in it; the table's items; the data section as buffers, gaps included.
function pack(value) {
  const [items, parts] = [[], []];
  let end = 0;
  function place(bytes) {
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    parts.push(Buffer.alloc(offset - end), bytes);
    end = offset + bytes.length;
    return { [MARK]: items.push({ kind: 'bytes', offset, length: bytes.length }) - 1 };
  }
  // `this[key]` is the value itself; the second argument is what its toJSON, which a Buffer has, made of it.
  function replace(key, json) { return this[key] instanceof Uint8Array ? place(this[key]) : json; }
  const text = JSON.stringify(value, replace);
  return { body: Buffer.from(text ?? ''), items, parts };
}

module.exports = { KIND, TABLE, DEFAULT_LIMITS, Breach, OverLimit, isObject, frames, encode };
