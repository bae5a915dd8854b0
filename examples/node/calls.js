'use strict';
// The life of a worker and of its calls (wire.md, sections 1 and 3 to 9). Node runs on events, so this worker reads
// both channels as they come and takes as many calls at once as the host sends. A language that blocks would take calls
// in one loop and read control in a second thread.
//
// One thing to know: a tool that computes for long without awaiting keeps the events waiting, a cancel and the end of
// the host among them. Such work belongs into a worker_thread.

const net = require('node:net');
const { KIND, TABLE, DEFAULT_LIMITS, Breach, OverLimit, isObject, frames, encode } = require('./frames.js');

const CAPABILITIES = ['streams', 'cancel', 'attachments', 'host_tools'];

// What may come, on which channel, with which capability, and what its body must be.
const isNothing = (value) => value === undefined;
const isHello = (value) => isObject(value) && Array.isArray(value.versions) && Array.isArray(value.capabilities);
const isCall = (value) => isObject(value) && typeof value.tool === 'string' && isObject(value.args);
const isError = (value) => isObject(value) && typeof value.kind === 'string' && typeof value.message === 'string';
const INCOMING = {
  HELLO: { channel: 'control', body: isHello },
  SHUTDOWN: { channel: 'control', body: isObject },
  PING: { channel: 'control', body: isNothing },
  CALL: { channel: 'data', body: isCall, carries: true },
  CANCEL: { channel: 'control', body: isNothing, needs: 'cancel' },
  CREDIT: { channel: 'control', body: isNothing, needs: 'streams' },
  HOST_RESULT: { channel: 'control', body: (value) => !isNothing(value), needs: 'host_tools', carries: true },
  HOST_ERROR: { channel: 'control', body: isError, needs: 'host_tools' },
};
const NAMES = new Map(Object.keys(INCOMING).map((name) => [KIND[name], name]));

// What a declared type accepts. Integers that JSON.parse may have rounded are refused rather than passed on.
const ACCEPTS = { string: (value) => typeof value === 'string', integer: Number.isSafeInteger, bytes: Buffer.isBuffer };

/** An error that knows its kind, and what else section 6 lets it say. */
class Failure extends Error {
  constructor(kind, message, about = {}) { super(message); this.body = { ...about, kind, message }; }
}

/** Serve `tools` under the name `app`, until the host says that it is enough, or is gone. */
function work(app, tools) {
  const descriptors = process.env.HATCHERY_WIRE.split(',').map(Number);
  // The descriptors are close-on-exec by now: Node marks what it inherits as it starts, and has no call with which one
  // could do it oneself (the test looks in /proc). What is left to do is to take away the name.
  delete process.env.HATCHERY_WIRE;
  new Worker(app, tools, descriptors).serve();
}

class Worker {
  agreed = null; // the capabilities that both sides named; null until HELLO
  limits = { ...DEFAULT_LIMITS }; // the host's, once HELLO has come. READY states none, so they hold both ways.
  draining = false;
  calls = new Map(); // id => Call, those in progress
  highestCall = 0n;
  cancelledEarly = new Set(); // CANCEL comes on the other channel, perhaps before its CALL
  questions = new Map(); // id of a host call => the promise that its answer settles
  lastQuestion = 0n;

  constructor(app, tools, [dataIn, dataOut, control]) {
    Object.assign(this, { app, tools });
    this.dataIn = new net.Socket({ fd: dataIn, readable: true, writable: false });
    this.dataOut = new net.Socket({ fd: dataOut, readable: false, writable: true });
    this.control = new net.Socket({ fd: control, readable: true, writable: true, allowHalfOpen: true });
  }

  serve() {
    // A host that dies with something of ours unread resets the stream instead of ending it: the same news. The end of
    // data in is none: a worker without calls still answers on control.
    for (const event of ['end', 'error']) this.control.on(event, () => process.exit(0));
    this.dataOut.on('error', () => process.exit(0));
    this.dataIn.on('error', () => {});
    process.on('SIGTERM', () => this.SHUTDOWN());
    for (const channel of ['control', 'data']) this.#read(channel).catch(giveUp);
  }

  async #read(channel) {
    for await (const frame of frames(channel === 'data' ? this.dataIn : this.control, this.limits)) {
      const name = NAMES.get(frame.kind);
      const fault = this.#fault(channel, name, frame);
      if (fault) throw new Breach(`${name ?? `kind ${frame.kind}`} on the ${channel} channel ${fault}`);
      this[name](frame);
    }
  }

  #fault(channel, name, frame) {
    const rule = INCOMING[name];
    if (rule?.channel !== channel) return 'does not belong there';
    if (name !== 'SHUTDOWN' && (name === 'HELLO') !== (this.agreed === null)) return 'comes at the wrong time';
    if (rule.needs && !this.agreed.has(rule.needs)) return `needs the capability ${rule.needs}`;
    if (frame.attachments && !(rule.carries && this.agreed.has('attachments'))) return 'carries attachments';
    if (name === 'CALL' && frame.id <= this.highestCall) return `has the id ${frame.id} after ${this.highestCall}`;
    return rule.body(frame.body) ? null : 'has a body that does not fit it';
  }

  // ---- What it does with each frame; the methods are named as the frames are. ----

  HELLO({ body }) {
    if (!body.versions.includes(1)) return this.#refuse('this worker knows version 1 of the wire and no other');
    this.agreed = new Set(CAPABILITIES.filter((capability) => body.capabilities.includes(capability)));
    Object.assign(this.limits, body.limits);
    const runtime = { language: 'node', version: process.versions.node };
    const tools = advertise(this.tools);
    this.send(KIND.READY, 0n, { version: 1, app: this.app, runtime, capabilities: CAPABILITIES, tools });
  }

  SHUTDOWN() {
    this.draining = true;
    this.#leaveWhenIdle();
  }

  PING({ id }) { this.send(KIND.PONG, id); }

  CALL({ id, body, flags, extra }) {
    this.highestCall = id;
    const call = new Call(this, id, body, extra);
    if (this.cancelledEarly.delete(id)) call.cancel();
    this.calls.set(id, call);
    call.answer(flags === 1).finally(() => {
      this.calls.delete(id);
      if (this.draining) this.#leaveWhenIdle();
    }).catch(giveUp);
  }

  CANCEL({ id }) {
    if (id > this.highestCall) this.cancelledEarly.add(id);
    else this.calls.get(id)?.cancel();
  }

  CREDIT({ id, extra }) { this.calls.get(id)?.grant(extra); }

  HOST_RESULT({ id, body }) { this.questions.get(id)?.resolve(body); }

  HOST_ERROR({ id, body }) {
    // To our caller this is an exception like any other: a key not found inside a tool is not a tool not found.
    const details = { host_kind: body.kind, ...body.details };
    this.questions.get(id)?.reject(new Failure('remote', body.message, { python_type: 'HostError', details }));
  }

  // ---- What it says. ----

  /** Send a frame and return what it costs in credit. Throws if it is over the host's limits; then nothing is sent. */
  send(kind, id, value) {
    const parts = encode(kind, id, value, this.limits);
    if (parts[TABLE].length > 0) this.demand('attachments', 'a binary value');
    const aboutWorker = kind === KIND.READY || kind === KIND.PONG || (kind === KIND.ERROR && id === 0n);
    const channel = aboutWorker ? this.control : this.dataOut;
    channel.cork(); // one write for all parts
    for (const part of parts) channel.write(part);
    channel.uncork();
    return parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** Ask the host to run one of its own tools. The promise is rejected with the signal's reason when it is aborted. */
  ask(question, signal) {
    this.demand('host_tools', `the host tool ${question.tool}`);
    const id = ++this.lastQuestion;
    this.send(KIND.HOST_CALL, id, question);
    return new Promise((resolve, reject) => {
      this.questions.set(id, { resolve, reject });
      signal.addEventListener('abort', () => reject(signal.reason));
    }).finally(() => this.questions.delete(id));
  }

  /** What was not agreed cannot be sent: the wish becomes an error of the one who had it. */
  demand(capability, wish) {
    if (this.agreed.has(capability)) return;
    throw new Failure('unavailable', `${wish} needs the capability ${capability}, which the host did not offer`);
  }

  #refuse(message) {
    this.send(KIND.ERROR, 0n, { kind: 'protocol', message });
    this.control.end(() => process.exit(1));
  }

  // process.exit alone would drop what is still on its way out, answers and log lines.
  #leaveWhenIdle() {
    if (this.calls.size === 0) this.dataOut.end(() => process.stdout.write('', () => process.exit(0)));
  }
}

class Call {
  #cancelled = new AbortController();
  #granted = () => {};

  constructor(worker, id, request, balance) { Object.assign(this, { worker, id, request, balance }); }

  /** Aborted when the host cancels the call. Most of Node's own promises take such a signal. */
  get signal() { return this.#cancelled.signal; }

  /** The answer of the host's own tool. */
  host(tool, args) {
    const { correlation_id } = this.request;
    return this.worker.ask({ call: Number(this.id), tool, args, correlation_id }, this.signal);
  }

  cancel() {
    this.#cancelled.abort(new Failure('cancelled', 'the call was cancelled'));
    this.#granted();
  }

  grant(bytes) {
    this.balance += bytes;
    this.#granted();
  }

  /** Run the tool, and send the one frame that ends the call whatever happens. */
  async answer(wantsStream) {
    try {
      this.#mayBegin();
      const tool = choose(this.worker.tools, this.request, wantsStream);
      if (tool.streaming) this.worker.demand('streams', 'a stream');
      const outcome = tool.run(this.request.args, this);
      if (tool.streaming) this.#send(KIND.END, await this.#stream(outcome));
      else this.#send(KIND.RESULT, await outcome);
    } catch (error) {
      this.#fail(describe(error, this.signal));
    }
  }

  #mayBegin() {
    this.signal.throwIfAborted();
    if (this.worker.draining) throw new Failure('unavailable', 'this worker is shutting down', { retryable: true });
  }

  async #stream(items) {
    try {
      for (;;) {
        await this.#turn();
        const { done, value } = await items.next();
        if (done) return value;
        this.balance -= this.#send(KIND.CHUNK, value);
      }
    } finally {
      await items.return(); // the generator's own `finally` runs, however the stream ends
    }
  }

  // Wait until there is credit. With credit, the other events still get their turn, and a cancel among them is seen.
  async #turn() {
    await new Promise(setImmediate);
    while (this.balance <= 0 && !this.signal.aborted) await new Promise((wake) => { this.#granted = wake; });
    this.signal.throwIfAborted();
  }

  #send(kind, value) { return this.worker.send(kind, this.id, value ?? null); }

  #fail(body) {
    const { correlation_id } = this.request;
    try {
      this.#send(KIND.ERROR, { ...body, correlation_id });
    } catch (error) { // a message or a traceback can be too long as well
      this.#send(KIND.ERROR, { kind: body.kind, message: error.message, correlation_id });
    }
  }
}

// The tool of a request, if everything about the request fits it.
function choose(tools, { tool: name, args }, wantsStream) {
  if (!Object.hasOwn(tools, name)) throw new Failure('not_found', `this worker has no tool ${name}`);
  const { parameters, streaming = false } = tools[name];
  if (streaming !== wantsStream) throw unfit(`${name} is a ${streaming ? 'streaming' : 'unary'} tool`, { tool: name });
  for (const parameter of Object.keys({ ...parameters, ...args })) {
    const fault = misfit(parameters, args, parameter);
    if (fault) throw unfit(`${name}: the parameter ${parameter} ${fault}`, { tool: name, parameter });
  }
  return tools[name];
}

function unfit(message, details) { return new Failure('validation', message, { details }); }

function misfit(parameters, args, parameter) {
  if (!Object.hasOwn(parameters, parameter)) return 'is unknown';
  if (!Object.hasOwn(args, parameter)) return 'is missing';
  return ACCEPTS[parameters[parameter]](args[parameter]) ? null : `is not of type ${parameters[parameter]}`;
}

// The body of the ERROR for whatever was thrown.
function describe(error, signal) {
  if (error instanceof Failure) return error.body;
  if (error instanceof OverLimit) return { kind: 'limit', message: error.message };
  if (signal.aborted && error?.name === 'AbortError') return signal.reason.body;
  const message = String(error?.message ?? error);
  return { kind: 'remote', message, python_type: error?.name, traceback: error?.stack }; // "python", in any language
}

function advertise(tools) {
  return Object.entries(tools).map(([name, { doc, streaming = false, parameters }]) => ({
    name, doc, streaming,
    parameters: Object.entries(parameters).map(([parameter, type]) => ({ name: parameter, type, required: true })),
  }));
}

function giveUp(error) {
  console.error(error instanceof Breach ? `hatchery wire: ${error.message}` : error);
  process.exit(error instanceof Breach ? 70 : 1);
}

module.exports = { work };
