// pino.js -- pushes the lines of a file with pino-loki: node pino.js URL FILE
const fs = require("fs");
const { pinoLoki } = require("pino-loki");
const pino = require("pino");

const [url, file] = process.argv.slice(2);
const stream = pinoLoki({ host: url, labels: { job: "nginx", client: "pino" }, batching: { interval: 1 }, silenceErrors: false });
const logger = pino({ level: "info" }, stream);
for (const line of fs.readFileSync(file, "utf8").split("\n")) if (line) logger.info(line);
stream.on("close", () => process.exit(0));
setTimeout(() => stream.end(), 200);
