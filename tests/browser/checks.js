// What can be checked of any page by looking at its elements: names, labels, order of headings, contrast. Returns complaints.
() => {
  const complaints = [];
  const seen = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const name = (element) =>
    (element.getAttribute("aria-label") || element.textContent || element.value || element.title || "").trim() ||
    [...element.querySelectorAll("[aria-label], img[alt]")].map((x) => x.getAttribute("aria-label") || x.alt).join("");
  const short = (element) => element.outerHTML.slice(0, 110);

  if (!document.documentElement.lang) complaints.push("no lang");
  if (!document.title.trim()) complaints.push("no title");
  if (document.querySelectorAll("h1").length !== 1) complaints.push(`${document.querySelectorAll("h1").length} h1`);
  const ids = [...document.querySelectorAll("[id]")].map((x) => x.id);
  for (const id of new Set(ids)) if (ids.filter((x) => x === id).length > 1) complaints.push(`id ${id} twice`);
  for (const x of document.querySelectorAll("button, a[href]")) if (seen(x) && !name(x)) complaints.push(`no name: ${short(x)}`);
  for (const x of document.querySelectorAll("img")) if (!x.hasAttribute("alt")) complaints.push(`no alt: ${short(x)}`);
  for (const x of document.querySelectorAll("svg")) {
    if (!x.hasAttribute("aria-hidden") && !x.hasAttribute("aria-label") && !x.closest("[aria-hidden]")) complaints.push(`svg: ${short(x)}`);
  }
  for (const x of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!(x.labels && x.labels.length) && !x.getAttribute("aria-label")) complaints.push(`no label: ${short(x)}`);
  }
  for (const x of document.querySelectorAll("table:not(.u-legend)")) {
    if (!x.caption) complaints.push(`no caption: ${short(x)}`);
    for (const cell of x.querySelectorAll("thead th")) if (!cell.scope) complaints.push(`no scope: ${short(cell)}`);
  }
  for (const x of document.querySelectorAll("progress")) if (!x.getAttribute("aria-label")) complaints.push(`progress: ${short(x)}`);
  let level = 0;
  for (const x of document.querySelectorAll("main :is(h1, h2, h3, h4)")) {
    const here = Number(x.tagName[1]);
    if (level && here > level + 2) complaints.push(`heading jumps to ${here}: ${short(x)}`);
    level = here;
  }

  const parse = (text) => {
    const found = text.match(/rgba?\(([^)]+)\)/);
    const [r, g, b, a = 1] = found[1].split(/[ ,/]+/).map(Number);
    return { r, g, b, a };
  };
  const light = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let x = element; x; x = x.parentElement) {
      const colour = parse(getComputedStyle(x).backgroundColor);
      if (colour.a === 1) return colour;
    }
    return { r: 255, g: 255, b: 255 };
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const done = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || done.has(element) || !seen(element) || element.closest("script, [disabled], option")) continue;
    done.add(element);
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) complaints.push(`contrast ${ratio.toFixed(2)}: ${short(element)}`);
  }
  const over = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (over > 0) complaints.push(`${over} px wider than the window`);
  return complaints;
}
