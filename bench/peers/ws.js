// An echo server on ws, for Node.js. Usage: node ws.js PORT
'use strict';
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2] || 8080),
  backlog: 1024,
  perMessageDeflate: false,
  maxPayload: 64 << 20,
});
server.on('connection', (socket) => {
  socket.on('message', (message, binary) => socket.send(message, { binary }));
  socket.on('error', () => socket.terminate());
});
