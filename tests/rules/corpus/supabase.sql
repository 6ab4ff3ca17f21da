-- The shape of a Supabase project: schema public open to the API roles, auth.uid(), closed tables, definer helpers in a private schema.
CREATE ROLE corpus_sb_anon NOLOGIN;
CREATE ROLE corpus_sb_authenticated NOLOGIN;
CREATE SCHEMA private;
CREATE SCHEMA auth;
GRANT USAGE ON SCHEMA auth TO corpus_sb_authenticated;
CREATE TABLE auth.users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email varchar(255), raw_user_meta_data jsonb);
CREATE UNIQUE INDEX users_email_partial_key ON auth.users (lower(email));
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid
$$;

CREATE TABLE public.profiles (
    id uuid PRIMARY KEY REFERENCES auth.users ON DELETE CASCADE,
    username text UNIQUE CHECK (char_length(username) >= 3),
    avatar_url text,
    updated_at timestamptz
);
CREATE TABLE public.boards (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_id uuid NOT NULL DEFAULT auth.uid() REFERENCES auth.users ON DELETE CASCADE,
    title text NOT NULL,
    is_public boolean NOT NULL DEFAULT false
);
CREATE INDEX boards_owner_id_idx ON public.boards (owner_id);
CREATE TABLE public.board_members (
    board_id uuid NOT NULL REFERENCES public.boards ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE,
    PRIMARY KEY (board_id, user_id)
);
CREATE INDEX board_members_user_id_idx ON public.board_members (user_id);

-- Only the service role, which bypasses row security, works on this one: enabled, no policy, no rights.
CREATE TABLE private.webhook_secrets (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), secret bytea NOT NULL);
ALTER TABLE private.webhook_secrets ENABLE ROW LEVEL SECURITY;

CREATE FUNCTION private.boards_of(member uuid) RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$ SELECT board_id FROM public.board_members WHERE user_id = member $$;

CREATE FUNCTION private.handle_new_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO public.profiles (id, username) VALUES (NEW.id, NEW.raw_user_meta_data ->> 'username');
    RETURN NEW;
END $$;
CREATE TRIGGER on_auth_user_created AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION private.handle_new_user();

ALTER TABLE public.profiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.profiles FORCE ROW LEVEL SECURITY;
ALTER TABLE public.boards ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.boards FORCE ROW LEVEL SECURITY;
ALTER TABLE public.board_members ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.board_members FORCE ROW LEVEL SECURITY;
GRANT SELECT ON public.profiles, public.boards TO corpus_sb_anon;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.profiles, public.boards, public.board_members TO corpus_sb_authenticated;
CREATE POLICY "Profiles are readable by everyone" ON public.profiles FOR SELECT USING (true);
CREATE POLICY "Users update their own" ON public.profiles FOR UPDATE TO corpus_sb_authenticated
    USING ((SELECT auth.uid()) = id) WITH CHECK ((SELECT auth.uid()) = id);
CREATE POLICY "Owners and members read" ON public.boards FOR SELECT TO corpus_sb_authenticated
    USING (is_public OR owner_id = (SELECT auth.uid()) OR id IN (SELECT private.boards_of((SELECT auth.uid()))));
CREATE POLICY "Anyone reads public boards" ON public.boards FOR SELECT TO corpus_sb_anon USING (is_public);
CREATE POLICY "Owners insert" ON public.boards FOR INSERT TO corpus_sb_authenticated WITH CHECK (owner_id = (SELECT auth.uid()));
CREATE POLICY "Owners change" ON public.boards FOR UPDATE TO corpus_sb_authenticated USING (owner_id = (SELECT auth.uid()));
CREATE POLICY "Members see members" ON public.board_members FOR SELECT TO corpus_sb_authenticated
    USING (board_id IN (SELECT private.boards_of((SELECT auth.uid()))));
