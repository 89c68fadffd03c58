// Links to assets stay within the page and keep the address, and a refresh leaves the keyboard's focus where it was.
let key = null;
element.addEventListener('focusin', (event) => { key = event.target.closest('[data-key]')?.dataset.key ?? null; });
document.addEventListener('focusin', (event) => { if (!element.contains(event.target)) key = null; });
element.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-asset]');
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const address = new URL(window.location.href);
  address.searchParams.set('asset', link.dataset.asset);
  window.history.pushState(null, '', address);
  trigger('click', { asset: link.dataset.asset });
});
watch('value', () => {
  if (key && document.activeElement === document.body)
    element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
});
