// Sends messages by Nodemailer and prints what came of each, a line of JSON a message.
// Its argument is JSON: `transport`, options of the transport, and `messages`, each with envelope and raw text.
const nodemailer = require("nodemailer");

const { transport, messages } = JSON.parse(process.argv[2]);
const mailer = nodemailer.createTransport(transport);

async function send(message) {
  try {
    const { accepted, rejected, response } = await mailer.sendMail(message);
    console.log(JSON.stringify({ accepted, rejected, response }));
  } catch ({ code, command, response }) {
    process.exitCode = 1;
    console.log(JSON.stringify({ code, command, response }));
  }
}

messages.reduce((before, message) => before.then(() => send(message)), Promise.resolve()).then(() => mailer.close());
