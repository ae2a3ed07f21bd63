// Decodes protobuf answers with protobufjs: node decode.js PROTO < lines of "MESSAGE BASE64"; a line of JSON for each, bytes in
// hex, 64-bit numbers as text. What was not on the wire is not in the JSON.
const readline = require("readline");
const protobuf = require("protobufjs");
const root = protobuf.loadSync(process.argv[2]);

function hex(value) {
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(hex);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, hex(v)]));
  return value;
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, body] = line.split(" ");
  const type = root.lookupType(name);
  const message = type.decode(Buffer.from(body || "", "base64"));
  const object = type.toObject(message, { longs: String, enums: String, bytes: Buffer, oneofs: false });
  console.log(JSON.stringify(hex(object)));
});
