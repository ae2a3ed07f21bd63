// Exports log records with OpenTelemetry's SDK: node otel.js URL http|proto COUNT, half of them after a line on
// standard input.
const { LoggerProvider, BatchLogRecordProcessor } = require("@opentelemetry/sdk-logs");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const [url, kind, count] = process.argv.slice(2);
const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${kind}`);

const exporter = new OTLPLogExporter({ url, headers: { "X-Scope-OrgID": `otel-${kind}` } });
const provider = new LoggerProvider({
  resource: resourceFromAttributes({ "service.name": `shop-${kind}`, "host.name": "h1" }),
  processors: [new BatchLogRecordProcessor({ exporter, maxExportBatchSize: 20 })],
});
const logger = provider.getLogger("app", "1.0");

async function send(from, to) {
  for (let i = from; i < to; i++)
    logger.emit({
      severityNumber: 17, severityText: "ERROR", body: `declined ${i}`,
      attributes: { "http.status_code": 500, nested: { method: "GET" }, list: [1, "two"], n: i },
    });
  await provider.forceFlush();
}

(async () => {
  await send(0, count / 2);
  console.log("half");
  await new Promise((done) => process.stdin.once("data", done));
  await send(count / 2, Number(count));
  await provider.shutdown();
  process.exit(0);
})();
