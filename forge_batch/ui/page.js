// Links to assets stay within the page and keep the address.
element.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-asset]');
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const address = new URL(window.location.href);
  address.searchParams.set('asset', link.dataset.asset);
  window.history.pushState(null, '', address);
  trigger('click', { asset: link.dataset.asset });
});
