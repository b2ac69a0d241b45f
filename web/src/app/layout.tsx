import * as Menu from '@radix-ui/react-dropdown-menu';
import { Link, NavLink, Outlet, useLocation } from 'react-router';
import { useEffect, useRef } from 'react';
import { moment } from '../format/time.js';
import { Icon, type IconName } from '../ui/icon.js';
import { Logo } from './logo.js';
import { useCan, useLogout, useSession } from './session.js';
import { setTheme, type Theme, THEMES, useTheme } from './theme.js';

const THEME_ICON: Record<Theme, IconName> = { system: 'screen', light: 'sun', dark: 'moon' };
const THEME_NAME: Record<Theme, string> = { system: 'As the system', light: 'Light', dark: 'Dark' };

function Account() {
  const { team, key, expires_at, version } = useSession();
  const theme = useTheme();
  const logout = useLogout();
  return (
    <Menu.Root modal={false}>
      <Menu.Trigger className="button plain">
        <Icon name="user" />
        <span className="truncate">{team.name}</span>
        <Icon name="chevron" size={12} />
        <span className="visually-hidden">Account and appearance</span>
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content className="menu" align="end" sideOffset={6}>
          <div className="menu-head">
            <div>
              Team <strong>{team.name}</strong>
            </div>
            <div className="muted">
              Key <code>{key.prefix}…</code>: {key.scopes.join(', ')}
            </div>
            {expires_at === null ? null : <div className="muted">Session until {moment(expires_at)}</div>}
            <div className="muted">Sparank {version}</div>
          </div>
          <Menu.RadioGroup value={theme} onValueChange={(value) => setTheme(value as Theme)}>
            {THEMES.map((one) => (
              <Menu.RadioItem key={one} value={one} className="menu-item" onSelect={(event) => event.preventDefault()}>
                <Icon name={THEME_ICON[one]} /> {THEME_NAME[one]}
              </Menu.RadioItem>
            ))}
          </Menu.RadioGroup>
          <div className="menu-line" />
          <Menu.Item asChild>
            <a className="menu-item" href="/docs">
              <Icon name="file" /> Interface for programs
            </a>
          </Menu.Item>
          <Menu.Item className="menu-item" onSelect={() => void logout()}>
            <Icon name="right" /> Log out
          </Menu.Item>
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}

/** A new page begins at its top, for the eye and for the screen reader. */
function useNewPage(): React.RefObject<HTMLElement | null> {
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const shown = useRef(pathname);
  useEffect(() => {
    if (shown.current === pathname) return;
    shown.current = pathname;
    window.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [pathname]);
  return main;
}

export function Layout() {
  const can = useCan();
  const main = useNewPage();
  return (
    <>
      <a className="skip" href="#main">
        To the content
      </a>
      <header className="top">
        <Link to="/jobs" aria-label="Sparank, jobs">
          <Logo />
        </Link>
        <nav className="nav" aria-label="Main">
          {can('jobs:read') ? (
            <>
              <NavLink to="/jobs">Jobs</NavLink>
              <NavLink to="/compare">Compare</NavLink>
              <NavLink to="/pool">Pool</NavLink>
            </>
          ) : null}
          <NavLink to="/team">Team</NavLink>
          {can('admin') ? <NavLink to="/admin">Admin</NavLink> : null}
        </nav>
        <div className="top-end">
          {can('jobs:write') ? (
            <Link to="/submit" className="button primary">
              <Icon name="plus" /> New job
            </Link>
          ) : null}
          <Account />
        </div>
      </header>
      <main className="main" id="main" ref={main} tabIndex={-1}>
        <Outlet />
      </main>
    </>
  );
}
