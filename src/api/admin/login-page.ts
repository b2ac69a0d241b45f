/** What a browser sees before it may enter. No script, nothing from elsewhere. */
export const loginPage = (fault = ''): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Sparank: operators</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 15vh auto; padding: 0 1rem; color: #1c2530 }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input, button { padding: .6rem .7rem; margin-top: .4rem; border: 1px solid #8b96a5; border-radius: .4rem }
button { margin-top: 1rem; border: 0; background: #1f4fd8; color: #fff; cursor: pointer }
[role=alert] { color: #a4161a }
</style>
</head>
<body>
<main>
<h1>Queues</h1>
${fault === '' ? '' : `<p role="alert">${fault}</p>`}
<form method="post" action="/admin/login">
<label for="key">API key with the scope <code>admin</code></label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Enter for an hour</button>
</form>
</main>
</body>
</html>
`;
