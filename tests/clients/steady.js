// Logs lines one after the other while its server may come and go: node steady.js URL winston-json|winston-protobuf|pino COUNT
// Until standard input ends, and COUNT more from then on. Then says how many it logged and, one a line, those that the server acknowledged.
const [url, client, count] = process.argv.slice(2);
const acknowledged = [];
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// winston-loki keeps what was not acknowledged and sends it again; after a failure it waits a minute, here less.
function withWinston() {
  const winston = require("winston");
  const LokiTransport = require("winston-loki");
  const transport = new LokiTransport({
    host: url, json: client === "winston-json", labels: { job: client }, format: winston.format.printf((info) => info.message),
    batching: true, interval: 0.02, gracefulShutdown: false, onConnectionError: () => {},
  });
  transport.batcher.circuitBreakerInterval = 100;
  const logger = winston.createLogger({ transports: [transport] });
  return {
    log: (line) => { logger.info(line); acknowledged.push(line); },
    end: async () => { while (transport.batcher.batch.streams.length > 0 || transport.batcher.batchesSending > 0) await pause(20); },
  };
}

// pino-loki sends a batch once: what it was not told to be stored is lost, and told on standard error.
function withPino() {
  const { pinoLoki } = require("pino-loki");
  const pino = require("pino");
  const post = globalThis.fetch;
  let flying = 0;
  globalThis.fetch = async (target, options) => {
    flying++;
    try {
      const response = await post(target, options);
      if (response.ok) for (const s of JSON.parse(options.body).streams) acknowledged.push(JSON.parse(s.values[0][1]).msg);
      return response;
    } finally {
      flying--;
    }
  };
  const stream = pinoLoki({ host: url, labels: { job: client }, batching: true, interval: 0.02, silenceErrors: true });
  const logger = pino({ level: "info" }, stream);
  return { log: (line) => logger.info(line), end: async () => { await pause(200); while (flying > 0) await pause(20); } };
}

(async () => {
  const { log, end } = client === "pino" ? withPino() : withWinston();
  let left = Infinity, logged = 0;
  process.stdin.on("end", () => { left = Number(count); });
  process.stdin.resume();
  for (; left > 0; left--) {
    log(`${client} line ${logged}`);
    if (logged++ % 3 === 0) await pause(1);
  }
  await end();
  console.log(logged);
  process.stdout.write(acknowledged.map((line) => line + "\n").join(""), () => process.exit(0));
})();
