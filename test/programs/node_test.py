#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""node on the pool: garbage collection under pressure, buffers, zlib, crypto, worker threads."""

import programs

HEAP = """
const crypto = require('crypto');
const kept = new Map();
for (let round = 0; round < 40; round++) {
  for (let i = 0; i < 12000; i++) {
    const key = 'k' + (i * 7919 % 10007);
    const list = Array.from({ length: i % 17 }, (_, n) => n * i);
    kept.set(key, { list, text: key.repeat(i % 9), bytes: Buffer.alloc(i % 3000 + 1, i & 255) });
  }
  if (round % 10 === 9) {
    for (const key of [...kept.keys()].filter((_, n) => n % 3)) kept.delete(key);
  }
}
const digest = crypto.createHash('sha256');
for (const key of [...kept.keys()].sort()) {
  const one = kept.get(key);
  digest.update(key + one.text + one.list.join()).update(one.bytes);
}
console.log(kept.size, digest.digest('hex'));
const parsed = JSON.parse(JSON.stringify([...kept].slice(0, 2000)));
console.log(parsed.length, parsed[3][0], typeof global.gc);
for (let i = 0; i < 5; i++) {
  let buffers = [];
  for (let n = 0; n < 300; n++) buffers.push(new ArrayBuffer(200000));
  buffers = null;
  global.gc();
}
console.log('done');
process.exitCode = 5;
"""

ZLIB = """
const zlib = require('zlib'), crypto = require('crypto'), stream = require('stream');
const { promisify } = require('util');
const lines = Array.from({ length: 3000 },
  (_, i) => Buffer.from('line ' + i * 7919 % 1000 + 'x'.repeat(i % 700) + '\\n'));
const data = Buffer.concat(lines);
const hash = bytes => crypto.createHash('sha256').update(bytes).digest('hex');
async function deflated(level) {
  const packed = await promisify(zlib.deflate)(data, { level });
  const back = await promisify(zlib.inflate)(packed);
  return level + ' ' + hash(packed) + ' ' + back.equals(data);
}
async function brotli() {
  const params = { [zlib.constants.BROTLI_PARAM_QUALITY]: 6 };
  const packed = await promisify(zlib.brotliCompress)(data, { params });
  return 'brotli ' + hash(packed) + hash(zlib.brotliDecompressSync(packed));
}
async function scrypt(number) {
  const key = await promisify(crypto.scrypt)('secret' + number, 'salt', 64, { N: 4096 });
  return key.toString('hex');
}
async function piped() {
  const parts = [];
  const source = Array.from({ length: 400 }, (_, i) => data.subarray(i * 100, i * 100 + 5000));
  const sink = new stream.Writable({ write(part, _, next) { parts.push(part); next(); } });
  await promisify(stream.pipeline)(
    stream.Readable.from(source), zlib.createGzip({ level: 3 }), zlib.createGunzip(), sink);
  return hash(Buffer.concat(parts));
}
const jobs = [brotli(), piped()];
for (let level = 1; level <= 9; level++) jobs.push(deflated(level));
for (let number = 0; number < 6; number++) jobs.push(scrypt(number));
Promise.all(jobs).then(all => console.log(all.join('\\n')));
"""

WORKERS = """
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
function run(seed) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: seed });
    let got;
    worker.on('message', message => { got = message; });
    worker.on('error', reject);
    worker.on('exit', code => resolve(code + ' ' + got));
  });
}
const FILL = `
  const { parentPort } = require('worker_threads');
  parentPort.once('message', shared => {
    new Uint8Array(shared).fill(7);
    parentPort.postMessage(1);
  });`;
async function lead() {
  for (let round = 0; round < 5; round++) {
    const all = await Promise.all([0, 1, 2, 3].map(n => run(round * 4 + n)));
    console.log(all.join('\\n'));
  }
  const shared = new SharedArrayBuffer(8 << 20);
  const worker = new Worker(FILL, { eval: true });
  worker.once('message', () => {
    console.log(new Uint8Array(shared).reduce((a, b) => a + b, 0));
    worker.terminate();
  });
  worker.postMessage(shared);
}
function work() {
  let made = [], sum = 0;
  for (let i = 0; i < 60000; i++) {
    made.push({ i, text: 'w' + i * workerData });
    if (made.length > 5000) {
      sum += made.reduce((total, one) => total + one.text.length, 0);
      made = [];
    }
  }
  const text = Buffer.from('x'.repeat(100000)).toString('base64') + sum;
  const digest = require('crypto').createHash('sha1').update(text).digest('hex');
  parentPort.postMessage(sum + ':' + digest);
}
if (isMainThread) lead(); else work();
"""


def main():
    node = programs.need("node")
    suite = programs.Suite()

    def script(text):
        def write(folder):
            with open(f"{folder}/main.js", "w", encoding="utf-8") as file:
                file.write(text)

        return write

    for name, text, flags, status in (
        ("heap under pressure", HEAP, ["--expose-gc", "--max-old-space-size=300"], 5),
        ("zlib, crypto, streams", ZLIB, [], 0),
        ("worker threads", WORKERS, [], 0),
        ("uncaught error", "throw new RangeError('over')", [], 1),
    ):
        suite.compare(
            f"node {name}",
            [node, *flags, "main.js"],
            setup=script(text),
            status=status,
            stderr=name != "uncaught error",
            allocations=1000,
            limit_s=60,
        )
    suite.finish()


if __name__ == "__main__":
    main()
