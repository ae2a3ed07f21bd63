// winston.js -- pushes the lines of a file with winston-loki: node winston.js URL FILE json|protobuf
const fs = require("fs");
const winston = require("winston");
const LokiTransport = require("winston-loki");

const [url, file, mode] = process.argv.slice(2);
const failed = [];
const transport = new LokiTransport({
  host: url,
  json: mode === "json",
  labels: { job: "nginx", client: "winston-" + mode },
  format: winston.format.printf((info) => info.message),
  useWinstonMetaAsLabels: false,
  batching: true,
  interval: 1,
  onConnectionError: (error) => failed.push(error),
});
const logger = winston.createLogger({ transports: [transport] });
for (const line of fs.readFileSync(file, "utf8").split("\n")) if (line) logger.info(line);
transport.flush().then(() => {
  logger.end();
  if (failed.length) console.error(failed[0]);
  process.exit(failed.length ? 1 : 0);
});
