/** A network between a client and a desk that can be cut. */

import net from "node:net";

/** Listens on a port of its own and carries to `target`, a URL, while it is up. */
export async function lineTo(target) {
  const { hostname, port } = new URL(target);
  const ends = new Set();
  const line = { isUp: true, isMute: false };
  const server = net.createServer((near) => {
    if (!line.isUp) return near.destroy();
    const far = net.connect({ host: hostname, port: Number(port) });
    for (const [from, to] of [[near, far], [far, near]]) {
      ends.add(from);
      from.on("error", () => {});
      from.on("close", () => to.destroy());
    }
    near.on("data", (data) => far.write(data));
    far.on("data", (data) => line.isMute || near.write(data));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  line.address = `http://127.0.0.1:${server.address().port}`;
  line.cut = () => {
    line.isUp = false;
    ends.forEach((end) => end.destroy());
    ends.clear();
  };
  line.mend = () => Object.assign(line, { isUp: true, isMute: false });
  line.close = () => {
    line.cut();
    server.close();
  };
  return line;
}
