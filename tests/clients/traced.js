// An HTTP service instrumented by OpenTelemetry's SDK: node traced.js URL http|proto TENANT. Prints its port, answers
// GET /cart by calling its own /price, and writes a line for each request to standard error: JSON with the trace's ID, as
// loggers do. Its log records go out by OTLP too. Ends, with all sent, when standard input does.
const { NodeSDK, logs: sdkLogs } = require("@opentelemetry/sdk-node");
const { HttpInstrumentation } = require("@opentelemetry/instrumentation-http");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { OTLPLogExporter } = require("@opentelemetry/exporter-logs-otlp-proto");
const [url, kind, tenant] = process.argv.slice(2);
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${kind}`);
const headers = { "X-Scope-OrgID": tenant };

const sdk = new NodeSDK({
  resource: resourceFromAttributes({ "service.name": `shop-${kind}`, "service.version": "1.0" }),
  traceExporter: new OTLPTraceExporter({ url: `${url}/v1/traces`, headers }),
  logRecordProcessors: [new sdkLogs.BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ url: `${url}/otlp/v1/logs`, headers }) })],
  metricReaders: [],
  instrumentations: [new HttpInstrumentation({ ignoreOutgoingRequestHook: (o) => String(o.path || "").includes("/v1/") })],
});
sdk.start();

const http = require("http");
const api = require("@opentelemetry/api");
const apiLogs = require("@opentelemetry/api-logs");
const logger = apiLogs.logs.getLogger("shop");

function say(message, more) {
  const context = api.trace.getActiveSpan()?.spanContext();
  console.error(JSON.stringify({ ms: Date.now(), level: "info", message, trace_id: context?.traceId, span_id: context?.spanId, ...more }));
}

const server = http.createServer((request, response) => {
  if (request.url === "/price") return response.end("42");
  say("cart asked", { url: request.url });
  logger.emit({ severityText: "WARN", severityNumber: 13, body: "price is asked" });
  http.get({ port: server.address().port, path: "/price" }, (answer) => {
    answer.resume();
    answer.on("end", () => {
      const failed = request.url.includes("fail");
      if (failed) api.trace.getActiveSpan()?.recordException(new Error("card declined"));
      response.statusCode = failed ? 500 : 200;
      response.end("ok\n");
    });
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", async () => {
  await sdk.shutdown();
  process.exit(0);
});
