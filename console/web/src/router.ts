import { createRouter, createWebHistory } from 'vue-router'
import { askSession, session, type Role } from './session'

const admins: Role[] = ['system', 'security', 'audit', 'inspector']
// In the order of the menu. The server decides; this only hides what would be refused.
export const sections: { path: string; name: string; roles: Role[]; page: () => Promise<unknown> }[] = [
  { path: '/overview', name: 'overview', roles: admins, page: () => import('./pages/Overview.vue') },
  { path: '/events', name: 'events', roles: ['security', 'inspector', 'tenant'], page: () => import('./pages/Events.vue') },
  { path: '/matrix', name: 'matrix', roles: ['security', 'inspector'], page: () => import('./pages/Matrix.vue') },
  { path: '/policy', name: 'policy', roles: ['security', 'inspector'], page: () => import('./pages/Policy.vue') },
  { path: '/rules', name: 'rules', roles: ['security', 'inspector'], page: () => import('./pages/Rules.vue') },
  { path: '/audit', name: 'audit', roles: ['audit', 'inspector'], page: () => import('./pages/Audit.vue') },
  { path: '/compliance', name: 'compliance', roles: ['security', 'audit', 'inspector'], page: () => import('./pages/Compliance.vue') },
  { path: '/system', name: 'system', roles: ['system'], page: () => import('./pages/System.vue') },
]

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/sign-in', name: 'sign-in', component: () => import('./pages/SignIn.vue') },
    { path: '/setup', name: 'setup', component: () => import('./pages/Setup.vue') },
    ...sections.map(({ path, name, page }) => ({ path, name, component: page as () => Promise<never> })),
    { path: '/:rest(.*)*', redirect: '/' },
    { path: '/', name: 'home', component: () => import('./pages/SignIn.vue') },
  ],
})

export function home() {
  return sections.find((each) => session.is && each.roles.includes(session.is.role))?.path ?? '/sign-in'
}

router.beforeEach(async (to) => {
  if (to.name === 'setup') return true
  await askSession()
  if (!session.is) return to.name === 'sign-in' ? true : { name: 'sign-in', query: to.path === '/' ? {} : { to: to.fullPath } }
  const section = sections.find((each) => each.path === to.path)
  if (!section || !section.roles.includes(session.is.role)) return home()
  return true
})
