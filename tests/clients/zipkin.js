// Sends a trace with zipkin's own client: node zipkin.js URL. Prints its ID.
const { Tracer, ExplicitContext, BatchRecorder, jsonEncoder, Annotation, InetAddress } = require("zipkin");
const { HttpLogger } = require("zipkin-transport-http");
const [url] = process.argv.slice(2);

const logger = new HttpLogger({ endpoint: `${url}/api/v2/spans`, jsonEncoder: jsonEncoder.JSON_V2, httpInterval: 100 });
const tracer = new Tracer({ ctxImpl: new ExplicitContext(), recorder: new BatchRecorder({ logger }), localServiceName: "till", traceId128Bit: true });
logger.on("success", () => process.exit(0));
logger.on("error", (error) => { console.error(error); process.exit(1); });

tracer.scoped(() => {
  const root = tracer.createRootId();
  tracer.setId(root);
  tracer.recordServiceName("till");
  tracer.recordRpc("pay");
  tracer.recordAnnotation(new Annotation.ServerRecv());
  tracer.recordBinary("amount", "12.50");
  const child = tracer.createChildId();
  tracer.letId(child, () => {
    tracer.recordServiceName("till");
    tracer.recordRpc("charge");
    tracer.recordAnnotation(new Annotation.ClientSend());
    tracer.recordAnnotation(new Annotation.ServerAddr({ serviceName: "bank", host: new InetAddress("127.0.0.1"), port: 443 }));
    tracer.recordBinary("error", "declined");
    tracer.recordAnnotation(new Annotation.ClientRecv());
  });
  tracer.recordAnnotation(new Annotation.ServerSend());
  console.log(root.traceId);
});
setTimeout(() => process.exit(2), 20000);
