"""The shipped rules, language by language: which lines go, and which lines of prose stay though they begin as one that goes."""

import pytest

from rerank_core.prepare import boilerplate, patterns
from rerank_core.prepare.patterns import OPEN, Line, Rules, is_sentence

SHIPPED = boilerplate.load()

GOES = {
    "zh": """
文 | 王小明
图：王小明/新华社
记者 | 王小明 编辑 | 李红
关注我们的微信公众号
用微信扫码二维码
目前没有热门跟贴
责任编辑：王小明
責任編輯：王小明
责任编辑：何晚舟 SN117
编辑 | 王小明
来源丨北岸新闻网
来源：北岸日报客户端、新华社
2026-11-20 09:12 来源：北岸日报
（责编：王小明、李某）
审核：欧阳修远
题图来自Unsplash，基于CC0协议。
扫码关注我们
长按识别二维码
点击下载北岸新闻APP
打开APP阅读全文
展开全文
返回北岸首页
分享至微信朋友圈
登录后发表评论
还没有评论，快来抢沙发
评论(23)
阅读量：1.2万+
3小时前
您当前的位置：首页 > 新闻 > 社会
版权声明：未经北岸新闻网书面授权，不得转载使用。
未经授权，不得转载。
转载请注明出处。如有侵权，请联系管理员删除。
版 权 所 有，未 经 书 面 授 权 禁 止 转 载
以上内容仅供参考，不构成投资建议。
京ICP备12345678号-1
违法和不良信息举报电话：010-12345678
猜你喜欢
缩小字体 放大字体 收藏 微博 微信 分享
""",
    "en": """
Jump to navigation
Enable JavaScript to view comments.
Subscribe now
SUBSCRIBE NOW!
Already a subscriber? Log in
Sign up for our newsletter
Subscribe now to our newsletter for match reports every Monday.
1,204 views
Share this article
Story continues below advertisement
Follow us on Facebook and Twitter.
Follow Jane Doe on Twitter @janedoe.
Read more: Harbour reopens after storm
Related: Harbour reopens after storm
Photo: Jane Doe / Reuters
Photo: Mary Jane Doe, John R. Smith and Ann de Vries
Image credit: Getty Images
Source: The Guardian
Reporting by Will Dunham in London; Editing by Tom Brown.
Jane Doe and John Smith contributed to this report.
Updated: Nov. 20, 2026 at 10:02 a.m.
Last updated on 20 November 2026
© 2026 Harbour Gazette Inc. All rights reserved.
This material may not be published, broadcast, rewritten, or redistributed.
We use cookies to improve your experience.
4 min read
Facebook Twitter WhatsApp Email Print
""",
    "ja": """
写真=ロイター
メルマガ登録はこちら
会員登録して続きを読む
公開日 2026年5月3日
Xでフォローする
この記事は有料会員限定です。残り1234文字
有料会員に登録すると続きをお読みいただけます。
ログインして続きを読む
続きを読む
関連記事
アクセスランキング
コメント35件
最終更新：11/19(木) 10:15
写真：共同通信社
無断転載・複製を禁じます。
Xでシェアする
""",
    "de": """
Jetzt weiterlesen mit F+
Sie haben bereits ein Abo? Hier anmelden
Lesen Sie auch: Wie die Stadt den Verkehr plant
Foto: Jonas Berger / dpa
Stand: 19.11.2026 10:02 Uhr
Lesezeit: 3 Minuten
Folgen Sie uns auf Facebook
Kommentare (12)
Das könnte Sie auch interessieren
Alle Rechte vorbehalten.
""",
    "es": """
Suscríbete para seguir leyendo
¿Ya eres suscriptor? Inicia sesión
Lee también: El puerto crece un 5%
Foto: EFE
Actualizado el 20 de noviembre de 2026 a las 10:02
Síguenos en Twitter
Te puede interesar
Todos los derechos reservados.
""",
    "fr": """
Mis à jour le 3 mai 2026 à 12h30
Cet article est réservé aux abonnés.
Déjà abonné ? Connectez-vous
Lire aussi : Le tramway, cent ans d’histoire
Crédit photo : AFP
Mis à jour le 19/11/2026 à 10:02
Temps de lecture : 3 min
Suivez-nous sur Facebook
Sur le même sujet
Tous droits réservés.
""",
}
STAYS = {
    "en": """
Enable the young to vote, minister says
Updated: The minister on Sunday tried to clarify his remark.
Photo: a minister who never smiles
Log in to vote: Estonia's election goes online
All rights reserved for women at last, activists say
Watch: the eclipse will last four minutes
Join us on Sunday for the funeral, the family wrote.
Topics: the war, the budget, the weather
Enter your email, the scam said
Source: close to the talks said the deal was near
Related: two men were arrested on Friday
Reporting by broadcasters was biased, the court found.
Click here, police warn, and you lose your savings.
Donate now, aid group urges as famine spreads
Photo: The minister never smiles
Photo: Minister Never Smiles
Photo: an exhibition opens in Paris
Source: unknown
Source: The talks are near a deal
Image: a city in ruins
Video: how the bridge fell
Watch: The eclipse will last four minutes
Listen: the mayor tells why she quit
More: the opposition wants an inquiry
Read more slowly, the teacher told them
Read more on weekends, study says
Sign up to fight, the army tells graduates
Sign in to vote, voters are told
Subscribe now or pay later, publishers say
Subscribe to nothing, he said
Click here: how one email emptied a bank account
Follow the money, the auditor said
Follow us, said the guide
Share this house with four strangers
Share prices fall
Comments by the minister anger unions
Comment: the budget is a gamble
Comments are closed to debate, he said
Copyright 2026 rules take effect in March
Copyright reform: all rights reserved for whom?
Advertisement revenue falls
Sponsored by the state, feared by its neighbours
Published: a history of the tram
Published 40 years ago, the book still sells
Posted abroad, soldiers miss home
Updated rules for drones
Last updated in 1950, the law is to change
Editing by machine: what newsrooms try
Writing by hand is back
Reporting by phone: how witnesses film the war
Edited by committee, hated by readers
Contact the police, the mayor urges
Follow @mayor, said the poster
Send us your children, says the school
Have your say on the new tram line
Get the latest vaccine, doctors say
Tell us what you think happened, the judge asked
Filed under secret for fifty years
Back to top form, the striker scores twice
Thank you.
Next.
Help!
Yes.
See also the ruling of 1998, the judge said.
Learn more words, read more books
Loading ships takes longer
Privacy
Home
Yesterday
""",
    "zh": """
关注我们的孩子
文 | 一座城的三年
图：洪水退去
对此，外交部尚未发表评论。
该公司未经许可擅自转载新闻，被判赔偿十万元。
订阅用户增长放缓，公司股价下跌。
版权所有者胜诉
转载请注明出处成共识
侵权案件今年上升，法院联系企业删除侵权内容。
更多新闻从业者失业，引发关注。
关注我们身边的养老难题
策划：一场持续三年的骗局如何被揭穿
登录新系统后市民可参与评论
外交部尚未发表评论
来源：中国的稀土从哪里来
编辑：一个正在消失的职业
审核：企业上市的最后一道关
责任编辑：谁来为假新闻负责
下载量最高的APP
扫码支付成常态
扫码点餐引发争议
打开国门看世界
打开APP就能报警，老人却不会用
点击率造假调查
分享经济退潮
分享到手的红利
关注留守儿童
请关注老年人的心理健康
欢迎关注这场比赛
评论：谁动了养老金
阅读：一座城市的灵魂
阅读的力量
举报电话成摆设
举报人遭报复
收藏市场降温
收藏品拍卖创新高
推广新能源汽车下乡
广告业寒冬
广告费涨价
版权声明引发争议
免责声明不能免责
声明：我从未同意这份协议
郑重声明：我方从未签署该协议。
您的位置正在被谁收集
当前位置决定房价
首页改版引发争议
上一篇论文被撤稿
发布时间推迟
更新时间表公布
时间：从早到晚
标签：年轻人的新枷锁
原创内容平台崛起
微信扫一扫就能坐地铁
二维码支付标准出台
ICP备案新规下月实施
互联网新闻信息服务许可证管理规定发布
监制：一个职业的黄昏
转自：一位读者的来信里这样写道
来源：不明
如有侵权行为，最高罚款五百万元。
未经许可，不得进入核电站。
他说：“请关注我们的孩子。”
热搜背后的生意
加载更多货物的新船下水
暂无评论，发言人说。
点击查看成绩，考生可登录官网。
联系我们的邻居
""",
    "ja": """
写真=笑わない大臣、会見で
公開日が決まった新作映画
写真：笑わない大臣
写真：一度も笑わない大臣の素顔
出典：不明
広告費が過去最高に
コメントを発表した大臣
有料記事の増加に読者が反発
会員登録を強制する店が増加
続きを読む人は少ない
シェアハウスが増えている
フォロー体制が課題に
いいねの数を競う若者
ログインして投票　エストニアの電子選挙
更新：大臣は日曜日、発言の真意を説明した。
関連記事を削除したと発表
ランキング上位の大学
無断転載を禁じる判決
提供：市民が見た戦場の現実
編集：消えゆく仕事
ブックマークされた記憶
""",
    "de": """
Foto: ein Minister, der nie lächelt
Foto: Der Minister lächelt nie
Bild: eine Stadt in Trümmern
Quelle: unbekannt
Aktualisiert: Der Minister versuchte am Sonntag, seine Worte zu erklären.
Anmelden, um zu wählen: Estlands Wahl geht online.
Alle Rechte vorbehalten für Frauen, sagen Aktivistinnen
Jetzt abonnieren viele Leser wieder die Zeitung
Kommentare des Ministers empören die Gewerkschaften
Teilen ist das neue Haben
Werbung für Tabak wird verboten
Anzeige gegen den Bürgermeister erstattet
Lesen Sie mehr Bücher, rät der Minister.
Folgen Sie dem Geld, sagte der Prüfer.
Video: wie die Brücke einstürzte
Drucken wird teurer
Zum Thema Rente schwieg der Kanzler
Mehr zum Thema Rente sagte er nicht
Exklusiv für Abonnenten der Macht
Stand: der Dinge
""",
    "es": """
Foto: un ministro que nunca sonríe
Foto: El ministro que nunca sonríe
Fuente: cercana a las negociaciones dijo que el acuerdo estaba cerca
Actualizado: El ministro intentó el domingo aclarar sus palabras.
Todos los derechos reservados para las mujeres, por fin
Suscríbete ahora, dice la estafa
Comparte piso con cuatro desconocidos
Publicidad engañosa: multa de un millón
Síguenos, dijo el guía
Lee más despacio, pidió la maestra
Comentarios del ministro irritan a los sindicatos
Inicia sesión para votar: Estonia vota en línea
Vídeo: así cayó el puente
Ver más allá del dinero
Guardar silencio fue su estrategia
""",
    "fr": """
Photo : un ministre qui ne sourit jamais
Photo : Le ministre qui ne sourit jamais
Source : proche des négociations, un accord serait imminent
Mis à jour : le ministre a tenté dimanche de préciser ses propos.
Tous droits réservés aux femmes, enfin
Abonnez-vous, dit l’arnaque
Partager un logement avec quatre inconnus
Publicité mensongère : un million d’amende
Suivez-nous, dit le guide
Lire plus lentement, demandait la maîtresse
Commentaires du ministre : les syndicats en colère
Connectez-vous pour voter : l’Estonie vote en ligne
Vidéo : comment le pont est tombé
Réagir vite pour sauver la banque
À lire : un ministre se raconte dans un livre.
""",
}


def lines(of: dict[str, str]) -> list[str]:
    return [line for text in of.values() for line in text.strip().split("\n")]


@pytest.mark.parametrize("line", lines(GOES))
def test_a_line_that_is_no_part_of_the_article_goes(line: str) -> None:
    assert SHIPPED.strip(f"The bridge opened on Monday.\n{line}\nIt is long.") == (
        "The bridge opened on Monday.\nIt is long.",
        1,
    )


@pytest.mark.parametrize("line", lines(STAYS))
def test_a_line_of_prose_stays_wherever_it_stands(line: str) -> None:
    for text in (line, f"The bridge opened on Monday.\n{line}\nIt is long.", f"大桥今天通车。\n{line}"):
        assert SHIPPED.strip(text) == (text, 0)


OPEN_RULES = sorted(
    {
        rule
        for file in boilerplate.RULES.glob("lines_*.txt")
        for kind, rule in boilerplate.read(file)
        if kind == "lines" and any(mark in rule for mark in OPEN) and not is_sentence(rule)
    }
)
PROSE = {
    "*": "the minister said",
    "<title>": "The minister said",
    "<name>": "Jane Doe",
    "<word>": "tram",
    "#": "12",
}


def sentence_of(rule: str) -> str:
    """A sentence that the rule would describe, were it not a sentence."""
    for mark, text in PROSE.items():
        rule = rule.replace(mark, text)
    return f"{rule}."


@pytest.mark.parametrize("has_guard", [True, False])
def test_no_open_rule_takes_a_sentence(has_guard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_guard:
        monkeypatch.setattr(patterns, "is_sentence", lambda line: False)
    sentences = {rule: sentence_of(rule) for rule in OPEN_RULES}
    taken = [rule for rule, sentence in sentences.items() if Rules([rule]).match(Line(sentence))]
    assert len(sentences) > 300
    assert taken == [] if has_guard else len(taken) > 0.9 * len(sentences)
