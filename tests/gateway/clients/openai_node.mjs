// Makes the calls it is told with the openai package of npm: a line of standard input is a list of calls, a line of its output
// what came of each.
import { createInterface } from "node:readline";
import OpenAI, { toFile } from "openai";

const TOOL = { type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } };
const PICTURE = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };

async function made(call) {
  const statuses = [];
  const seen = {};
  const client = new OpenAI({
    baseURL: call.base,
    apiKey: call.key,
    maxRetries: call.retries ?? 0,
    fetch: async (url, init) => {
      const answer = await fetch(url, init);
      statuses.push(answer.status);
      seen.request_id = answer.headers.get("x-request-id");
      if (answer.ok) return answer;
      // Whether it tries again is what is asked, not how long it waits before that.
      const headers = new Headers(answer.headers);
      headers.set("retry-after-ms", "1");
      seen.wire = answer.status;
      return new Response(await answer.arrayBuffer(), { status: answer.status, headers });
    },
  });
  const ask = (more = {}, content = call.text) =>
    client.chat.completions.create({ model: call.model, messages: [{ role: "user", content }], max_tokens: 90, ...more });
  try {
    Object.assign(seen, await KINDS[call.kind](client, call, ask));
  } catch (error) {
    Object.assign(seen, { status: error.status, code: error.code, error: error.constructor.name });
  }
  return { ...seen, tries: statuses.length };
}

const KINDS = {
  chat: async (client, call, ask) => ({ text: (await ask()).choices[0].message.content }),
  stream: async (client, call, ask) => {
    let text = "";
    for await (const chunk of await ask({ stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
    return { text };
  },
  tools: async (client, call, ask) => ({ text: (await ask({ tools: [TOOL] })).choices[0].message.tool_calls[0].function.name }),
  look: async (client, call, ask) => ({
    text: (await ask({}, [PICTURE, { type: "text", text: call.text }])).choices[0].message.content,
  }),
  picture: async (client, call) => ({
    text: String((await client.images.generate({ model: call.model, prompt: call.text, n: 2 })).data.length),
  }),
  embed: async (client, call) => ({
    text: String((await client.embeddings.create({ model: call.model, input: call.text, encoding_format: "float" })).data[0].embedding.length),
  }),
  toolstream: async (client, call, ask) => {
    let text = "";
    for await (const chunk of await ask({ stream: true, tools: [TOOL] }))
      text += chunk.choices[0]?.delta?.tool_calls?.[0]?.function?.name ?? "";
    return { text };
  },
  edit: async (client, call) => {
    const image = await toFile(Buffer.alloc(5000, 7), "a.png", { type: "image/png" });
    return { text: String((await client.images.edit({ model: call.model, prompt: call.text, image })).data.length) };
  },
  speech: async (client, call) => {
    const sound = await client.audio.speech.create({ model: call.model, voice: "alloy", input: call.text });
    return { text: Buffer.from(await sound.arrayBuffer()).subarray(0, 4).toString() };
  },
  hear: async (client, call) => {
    const file = await toFile(Buffer.alloc(5000, 7), "a.wav", { type: "audio/wav" });
    return { text: (await client.audio.transcriptions.create({ model: call.model, file })).text };
  },
  responses: async (client, call) => {
    let text = "";
    const stream = await client.responses.create({ model: call.model, input: call.text, stream: true, max_output_tokens: 90 });
    for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
    return { text };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const results = [];
  for (const call of JSON.parse(line)) results.push(await made(call));
  console.log(JSON.stringify(results));
}
