// What a person with a screen reader or a keyboard needs of a page; returns what is missing, in words.
(() => {
  const problems = [];
  const seen = (each) => each.checkVisibility({ visibilityProperty: true }) && !each.closest("[aria-hidden=true]");
  const named = (each) =>
    (each.getAttribute("aria-label") || "").trim() ||
    (each.getAttribute("aria-labelledby") || "").split(/\s+/).map((id) => id && document.getElementById(id)?.textContent).join(" ").trim() ||
    (each.textContent || "").trim() || (each.title || "").trim() || (each.value || "").trim();
  const tell = (words, each) => problems.push(`${words}: ${each.outerHTML.slice(0, 160)}`);

  if (!document.documentElement.lang) problems.push("the page has no language");
  if (!document.title.trim()) problems.push("the page has no title");
  if (document.querySelectorAll("main").length !== 1) problems.push("there is not exactly one main part");

  const headings = [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].filter(seen);
  if (headings.filter((each) => each.tagName === "H1").length !== 1) problems.push("there is not exactly one h1");
  let level = 0;
  for (const each of headings) {
    const own = Number(each.tagName[1]);
    if (own > level + 1) tell(`a heading of level ${own} follows one of level ${level}`, each);
    if (!each.textContent.trim()) tell("a heading is empty", each);
    level = own;
  }

  for (const each of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!(each.labels && each.labels.length && each.labels[0].textContent.trim()) && !each.getAttribute("aria-label")) tell("a field has no label", each);
    for (const id of (each.getAttribute("aria-describedby") || "").split(/\s+/).filter(Boolean)) {
      if (each.getAttribute("aria-invalid") === "true" && !document.getElementById(id)) tell(`a field is described by ${id}, which is not there`, each);
    }
  }
  for (const each of document.querySelectorAll("a[href], button")) if (seen(each) && !named(each)) tell("a link or button has no name", each);
  for (const each of document.querySelectorAll("img")) if (!each.hasAttribute("alt")) tell("a picture has no alternative", each);
  for (const each of document.querySelectorAll("svg")) {
    if (each.closest("[aria-hidden=true]")) continue;
    if (each.getAttribute("role") !== "img" || !named(each)) tell("a drawing is neither named nor hidden", each);
  }
  for (const each of document.querySelectorAll("table")) {
    if (!each.querySelector("th[scope=col]")) tell("a table has no headings of columns", each);
    if (!each.caption && !each.closest("[aria-label], [aria-labelledby]")) tell("a table has no name", each);
  }
  for (const each of document.querySelectorAll("iframe")) if (!each.title) tell("a frame has no title", each);
  for (const each of document.querySelectorAll("nav")) if (!named(each) || !(each.getAttribute("aria-label") || each.getAttribute("aria-labelledby"))) tell("a navigation has no name", each);
  for (const each of document.querySelectorAll("[aria-labelledby]"))
    for (const id of each.getAttribute("aria-labelledby").split(/\s+/)) if (!document.getElementById(id)) tell(`named by ${id}, which is not there`, each);
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) problems.push(`the id ${id} stands there twice`);
  for (const each of document.querySelectorAll("[tabindex]")) if (each.tabIndex > 0) tell("a tabindex changes the order", each);
  for (const each of document.querySelectorAll("[style], [onclick], [onload]")) tell("style or script stands in the markup", each);
  for (const each of document.querySelectorAll("a[href], button, select, input:not([type=hidden])")) {
    if (!seen(each) || each.closest("p, li p, dd, td .sub")) continue;
    const box = each.getBoundingClientRect();
    if (box.width && (box.height < 15.9)) tell(`only ${Math.round(box.height)} pixels high to hit`, each);
  }
  return problems;
})()
