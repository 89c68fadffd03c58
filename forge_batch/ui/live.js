// Ask now and then for what has changed of what is shown, and put it in its place; the keyboard's focus, what is
// unfolded and how far a text is scrolled stay as they were.
// A tab that nobody sees does not ask. `marks` are what is shown already.
const marks = {};
const asked = () => document.querySelector('[data-wish]')?.dataset.wish ?? '';
const shownAsset = () => document.querySelector('[data-shown]')?.dataset.shown ?? '';
const look = async () => {
  if (document.visibilityState !== 'visible') return;
  const [before, asset] = [asked(), shownAsset()];
  const wish = new URLSearchParams(before);
  wish.set('asset', asset);
  for (const name in marks) if (document.querySelector(`[data-mark="${marks[name]}"]`)) wish.set(`mark-${name}`, marks[name]);
  const answer = await fetch(`live?${wish}`);
  if (!answer.ok) return;
  const news = await answer.json();
  if (before !== asked() || asset !== shownAsset()) return; // something else is looked at by now
  for (const [name, part] of Object.entries(news.parts)) {
    const place = document.querySelector(`[data-part="${name}"]`);
    if (!place) continue;
    const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const opened = [...place.querySelectorAll('details[open] > summary')].map((one) => one.dataset.key);
    const scrolled = [...place.querySelectorAll('pre')].map((one) => [one.getAttribute('aria-label'), one.scrollTop]);
    place.innerHTML = part.html;
    place.dataset.mark = marks[name] = part.mark;
    for (const one of opened) place.querySelector(`summary[data-key="${one}"]`)?.parentElement.setAttribute('open', '');
    for (const [label, top] of scrolled) place.querySelector(`pre[aria-label="${label}"]`)?.scrollTo(0, top);
    if (key) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }
  const shown = document.querySelector('[data-shown]');
  if (shown && shown.dataset.package !== news.package) {
    shown.dataset.package = news.package;
    trigger('submit', { asset });
  }
};

// Gradio forgets a model that arrives while its viewer is still being fetched (Model3D in 6.31): it is asked for again.
let bare = 0;
const remind = () => {
  const model = document.querySelector('#model [data-testid="model3d"]');
  bare = model?.offsetParent && !model.querySelector('canvas') ? bare + 1 : 0;
  if (bare > 1) trigger('submit', { asset: shownAsset() });
};

const quietly = () => look().catch(() => undefined); // a server that is away is asked again
for (const soon of [50, 300, 1000]) window.setTimeout(quietly, soon); // until every part is in its place
window.setInterval(quietly, EVERY);
window.setInterval(remind, EVERY);
document.addEventListener('visibilitychange', quietly);

// A model's canvas asks to come first for the keyboard, before everything else on the page; it takes its turn like the others.
const inTurn = () => document.querySelectorAll('canvas[tabindex="1"]').forEach((canvas) => { canvas.tabIndex = 0; });
new MutationObserver(inTurn).observe(document.body, { attributeFilter: ['tabindex'], childList: true, subtree: true });
