// Tails a query with the ws package: node tail.js URL QUERY COUNT. Comes back, as logcli does, when the connection breaks: from
// the last entry on, and leaves out what it had.
const WebSocket = require("ws");
const [url, query, count] = process.argv.slice(2);
let left = Number(count), last = "";
const had = new Set();

function connect() {
  const start = last ? `&start=${last}` : "";
  const ws = new WebSocket(`${url}/loki/api/v1/tail?query=${encodeURIComponent(query)}${start}`);
  ws.on("open", () => console.log("open"));
  ws.on("message", (data) => {
    for (const stream of JSON.parse(data).streams) for (const [ns, line] of stream.values) {
      if (had.has(ns + line)) continue;
      had.add(ns + line);
      last = ns;
      console.log(line);
      if (--left === 0) ws.close(1000);
    }
  });
  ws.on("error", () => {});
  ws.on("close", (code) => {
    if (code === 1006) setTimeout(connect, 50);
    else console.log(`closed ${code}`);
  });
}
connect();
