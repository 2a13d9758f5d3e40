// The pictures of docs/console.ru.md, into the folder that AQUA_PICTURES names; `pngquant --ext .png --force` makes them small.
import { join } from "node:path";
import { test } from "node:test";

import { WIDE, leads, visitor } from "./browser.mjs";
import { DISPATCHER } from "./service.mjs";

const folder = process.env.AQUA_PICTURES;
const BASE = "/console/p/demodelivery";

const shoot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) });

test("pictures for the guide", { skip: folder ? false : "AQUA_PICTURES names no folder" }, async () => {
  for (const [name, path, size] of [
    ["overview", `${BASE}/overview`, { width: 1280, height: 1000 }],
    ["orders", `${BASE}/orders`, WIDE],
  ]) {
    const page = await visitor({ size });
    await page.goto(path);
    await shoot(page, name);
    await page.context().close();
  }
  const page = await visitor({ who: DISPATCHER, size: { width: 1280, height: 960 } });
  await page.goto(`${BASE}/orders`);
  await page.fill("[type=search]", "S-10498");
  await leads(page, () => page.click(".search button"));
  await leads(page, () => page.click("button[value=approved]"));
  await shoot(page, "order");
  await page.goto(`${BASE}/rejected`);
  await leads(page, () => page.click('a:text-is("S-20005")'));
  await leads(page, () => page.click("button[value=check]"));
  await shoot(page, "rejected");
});
