// Tails a query with the ws package: node tail.js URL QUERY COUNT
const WebSocket = require("ws");
const [url, query, count] = process.argv.slice(2);
const ws = new WebSocket(`${url}/loki/api/v1/tail?query=${encodeURIComponent(query)}`);
let left = Number(count);
ws.on("open", () => console.log("open"));
ws.on("message", (data) => {
  for (const stream of JSON.parse(data).streams) for (const [, line] of stream.values) {
    console.log(line);
    if (--left === 0) ws.close(1000);
  }
});
ws.on("close", (code) => console.log(`closed ${code}`));
