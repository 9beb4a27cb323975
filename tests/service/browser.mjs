// A person in front of the page, in a real Chromium: search, correct, undo, forget, audit. Prints what was seen as JSON.
//
// node browser.mjs '{"modules": FOLDER, "chromium": PATH, "url": ..., "secret": ..., "picture": ..., "large": ..., "shots": FOLDER}'
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";

const asked = JSON.parse(process.argv[2]);
const require = createRequire(`${asked.modules}/`);
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(asked.shots, { recursive: true });

const told = { errors: [], abroad: [], axe: {}, overflow: [], facts: {} };
const browser = await chromium.launch({
  executablePath: asked.chromium,
  args: ["--no-sandbox", "--disable-gpu", "--ignore-certificate-errors"],
});
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1180, height: 860 } });
const page = await context.newPage();
page.setDefaultTimeout(20000);
const host = new URL(asked.url).host;
page.on("console", (message) => message.type() === "error" && told.errors.push(message.text()));
page.on("pageerror", (error) => told.errors.push(String(error)));
page.on("request", (request) => {
  const url = new URL(request.url());
  if (url.host !== host && !["data:", "blob:"].includes(url.protocol)) told.abroad.push(request.url());
});

async function look(name) {
  await page.waitForLoadState("networkidle");
  // axe is evaluated by the debugger, past the page's Content-Security-Policy, which forbids it to everybody else.
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.evaluate(axeSource);
    const found = await page.evaluate(() =>
      axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
    );
    const wrong = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join(", ")}`);
    told.axe[`${name} ${scheme}`] = wrong;
    await page.screenshot({ path: `${asked.shots}/${name}-${scheme}.png`, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 320, height: 640 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  if (wide > 320) told.overflow.push(`${name}: ${wide} px`);
  await page.screenshot({ path: `${asked.shots}/${name}-320.png`, fullPage: true });
  await page.setViewportSize({ width: 1180, height: 860 });
}
const text = (selector) => page.locator(selector).first().innerText();
const go = (path) => page.goto(new URL(path, asked.url).href);

await go("login");
await look("login");
await page.goto(`${asked.url}#start=${asked.secret}`);
await page.waitForURL("**/keys");
told.facts.address = page.url();
await page.fill("#name", "Ada");
await page.selectOption("#role", "controller");
await page.click("text=Make the key");
const key = await text("#made");
await look("keys");
await page.click("text=Log out");
await page.waitForURL("**/login");
await page.fill("#key", key);
await page.click("#login button");
await page.waitForURL((url) => !url.pathname.endsWith("login"));

await page.setInputFiles("#crop", asked.picture);
await page.fill("#purpose", "lost child, report 12");
await page.click("#search button:not(.quiet)");
await page.waitForSelector("#verdict");
told.facts.verdict = await text("#verdict");
told.facts.preview = await page.locator("#preview img").count();
told.facts.matches = await page.locator("#answer .card").count();
told.facts.broken = await page.evaluate(
  () => [...document.images].filter((image) => image.complete && !image.naturalWidth).length,
);
await look("search");
// A phone's picture, which is larger than the service takes, and lies on its side but for its EXIF.
await page.setInputFiles("#crop", asked.large);
await page.waitForSelector("text=made smaller: 2000 x 4000 to 1414 x 2828");
told.facts.large = await page.evaluate(async () => {
  const { width, height } = await createImageBitmap(document.getElementById("crop").files[0]);
  return [width, height];
});
// A frame drawn around a part of it: that alone is sent, and can be taken back.
const drawn = await page.locator("#preview img").boundingBox();
await page.mouse.move(drawn.x + drawn.width / 4, drawn.y + drawn.height / 4);
await page.mouse.down();
await page.mouse.move(drawn.x + (3 * drawn.width) / 4, drawn.y + (3 * drawn.height) / 4, { steps: 4 });
await page.mouse.up();
await page.waitForSelector("text=Whole picture");
told.facts.cut = await page.evaluate(async () => {
  const { width, height } = await createImageBitmap(document.getElementById("crop").files[0]);
  return [width, height];
});
await page.click("text=Whole picture");
await page.waitForSelector("text=Whole picture", { state: "detached" });
await Promise.all([
  page.waitForResponse((answer) => answer.request().method() === "POST"),
  page.click("#search button:not(.quiet)"),
]);
told.facts.largeVerdict = await text("#verdict");
await page.locator("#answer .name a").first().click();
await page.waitForURL("**/people/*");
told.facts.person = await text("h1");
await look("person");

await go("people");
await look("people");
const [first, second] = await page.locator(".card .name a").evaluateAll((links) => links.map((link) => link.textContent));
await go(`people/${first}`);
await page.fill("#other", second);
await page.click("text=Look at both");
await page.waitForSelector("#ask");
await look("join");
await page.click("button:has-text('Join')");
await page.waitForSelector(".done");
told.facts.joined = await text("main > p");
await page.click(".done button");
await page.waitForURL("**/people/*");
told.facts.undone = await text("main > p");

await go("review");
await look("review");
told.facts.pair = await text("#pair .pair");
await page.keyboard.press("n");
await page.waitForURL("**/review?skip=0&last=apart*");
told.facts.next = await text("#pair");
await go(`people/${first}`);

await page.click("text=Forget this person");
await page.waitForURL("**/forget*");
await page.click("text=Count first");
await page.waitForSelector("#ask");
await look("forget");
await page.fill("#purpose", "request 12");
await page.click(".danger");
await page.waitForSelector("#certificate");
told.facts.certificate = await text("#certificate");
await look("certificate");
await page.goto(new URL("audit", asked.url).href);
told.facts.chain = await text("main p");
told.facts.actions = [...new Set(await page.locator("tbody tr td:nth-child(4)").allInnerTexts())];
await look("audit");
await go("health");
told.facts.health = await text("main h2 + p");
await look("health");
const expected = told.errors.length;
await go(`people/${first}`); // who is forgotten: a page that says so, and one message of the browser's own
told.facts.gone = await text("main");
told.errors = told.errors.slice(0, expected);
await look("missing");

// Without scripts: searching by a plain form.
const plain = await browser.newContext({ javaScriptEnabled: false, ignoreHTTPSErrors: true });
const bare = await plain.newPage();
await bare.goto(new URL("login", asked.url).href);
await bare.fill("#key", key);
await bare.click("#login button");
await bare.setInputFiles("#crop", asked.picture);
await bare.fill("#purpose", "without scripts");
await bare.click("#search button:not(.quiet)");
told.facts.bare = await bare.locator("#verdict").innerText();
await browser.close();
console.log(JSON.stringify(told));
