// Four children, as a program of Node.js starts them.
const { spawn } = require("node:child_process");
const { join } = require("node:path");

for (let n = 0; n < Number(process.env.ORPHANS_WORKERS); n++) {
  spawn("sh", [join(__dirname, "worker.sh"), process.argv[2]], { stdio: ["pipe", "inherit", "inherit"] });
}
